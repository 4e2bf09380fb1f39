/** The ways a webhook can be verified: one line each here, one file each beside. */
import { z } from "zod";
import { object } from "../../../config/fields.ts";
import {
  apiKeySchema,
  apiKeyScheme,
  basicSchema,
  basicScheme,
  bearerSchema,
  bearerScheme,
} from "./credentials.ts";
import {
  githubSchema,
  githubScheme,
  hmacSchema,
  hmacScheme,
  shopifySchema,
  shopifyScheme,
} from "./digest.ts";
import { type Scheme, UNNAMED } from "./scheme.ts";
import { standardSchema, standardScheme } from "./standard.ts";
import { stripeSchema, stripeScheme } from "./stripe.ts";

const noneSchema = object({
  type: z.literal("none").describe("Anybody may post: for what a network or a proxy keeps strangers from."),
});

export const verifySchema = z.discriminatedUnion("type", [
  stripeSchema,
  githubSchema,
  shopifySchema,
  standardSchema,
  hmacSchema,
  basicSchema,
  bearerSchema,
  apiKeySchema,
  noneSchema,
]);

export type VerifyConfig = z.output<typeof verifySchema>;

const none: Scheme = {
  secretHeaders: [],
  challenge: null,
  beforeBody: true,
  check: () => null,
  name: () => UNNAMED,
};

/** Prepares a scheme's keys; called once per source. */
export function createScheme(config: VerifyConfig): Scheme {
  switch (config.type) {
    case "stripe":
      return stripeScheme(config);
    case "github":
      return githubScheme(config);
    case "shopify":
      return shopifyScheme(config);
    case "standard":
      return standardScheme(config);
    case "hmac":
      return hmacScheme(config);
    case "basic":
      return basicScheme(config);
    case "bearer":
      return bearerScheme(config);
    case "api_key":
      return apiKeyScheme(config);
    case "none":
      return none;
  }
}
