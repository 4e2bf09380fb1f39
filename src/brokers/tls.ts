/** TLS to a broker, as every family of brokers writes it in the YAML and its client library takes it. */
import type { ConnectionOptions } from "node:tls";
import type { z } from "zod";
import { flag, object, secret, text } from "../config/fields.ts";
import { tlsProblems } from "./tls-material.ts";

const material = object({
  ca: text().optional().describe("Certificates (PEM) to trust instead of the system's."),
  cert: text().optional().describe("Our own certificate (PEM), where the broker asks for one."),
  key: secret().optional().describe("Its private key (PEM)."),
  servername: text()
    .optional()
    .describe("The name to expect in the broker's certificate, if not the address's host."),
  insecure: flag().default(false).describe("Accept any certificate. For tests only."),
});

export type BrokerTls = z.output<typeof material>;

/** The map under `tls:`; what can't be used is found while the configuration is read. */
export const brokerTls = () =>
  material
    .refine((it) => (it.cert === undefined) === (it.key === undefined), {
      message: "has only one of cert and key",
      params: { remedy: "give both or none" },
    })
    .superRefine((it, context) => {
      for (const { field, message, remedy } of tlsProblems(it)) {
        context.addIssue({ code: "custom", path: [field], message, params: { remedy } });
      }
    });

/** For `tls.connect`. */
export function tlsOptions({ ca, cert, key, servername, insecure }: BrokerTls): ConnectionOptions {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(servername === undefined ? {} : { servername }),
    rejectUnauthorized: !insecure,
  };
}
