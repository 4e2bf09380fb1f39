/** All properties, of every parser of what comes from outside. */
import { access } from "./access.ts";
import { bodies } from "./bodies.ts";
import { brokers } from "./brokers.ts";
import { configuration } from "./configuration.ts";
import { expressions } from "./expressions.ts";
import { fields } from "./fields.ts";
import { lines } from "./lines.ts";
import { outbound } from "./outbound.ts";
import type { Property } from "./property.ts";
import { receivers } from "./receivers.ts";
import { servedProperties } from "./served.ts";
import { signatures } from "./signatures.ts";
import { streams } from "./streams.ts";
import { websocket } from "./websocket.ts";

export const properties: readonly Property[] = [
  ...fields,
  ...configuration,
  ...expressions,
  ...signatures,
  ...bodies,
  ...lines,
  ...streams,
  ...websocket,
  ...access,
  ...outbound,
  ...receivers,
  ...brokers,
  ...servedProperties,
];
