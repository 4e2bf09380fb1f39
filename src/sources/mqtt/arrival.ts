/** What an MQTT message is as an event: its topic is subject and key, its user properties are headers. */
import type { IPublishPacket } from "mqtt";
import type { Arrival } from "../../component.ts";
import { NO_HEADERS } from "../../event.ts";
import { hopsOf, packBrokerHeaders } from "../attributes.ts";

/** What Leat says of a message itself; a user property of such a name is left out, so that nobody can forge it. */
const OURS = /^mqtt-(retain|dup|response-topic|correlation-data)$/i;

type Headers = [name: string, value: string | Uint8Array][];

export function arrivalOf(packet: IPublishPacket): Arrival {
  const { topic, payload, properties } = packet;
  const headers = headersOf(packet);
  return {
    id: null,
    type: typeOf(properties?.userProperties?.type),
    key: topic,
    subject: topic,
    headers: headers.length === 0 ? NO_HEADERS : packBrokerHeaders(headers),
    body: typeof payload === "string" ? Buffer.from(payload) : payload,
    hops: headers.length === 0 ? 0 : hopsOf(headers),
    address: () => topic,
  };
}

function headersOf({ retain, dup, properties }: IPublishPacket): Headers {
  const headers: Headers = [];
  if (properties !== undefined) {
    const { contentType, userProperties, responseTopic, correlationData } = properties;
    if (contentType !== undefined) headers.push(["content-type", contentType]);
    for (const [name, values] of Object.entries(userProperties ?? {})) {
      if (OURS.test(name)) continue;
      for (const value of Array.isArray(values) ? values : [values]) headers.push([name, value]);
    }
    if (responseTopic !== undefined) headers.push(["mqtt-response-topic", responseTopic]);
    if (correlationData !== undefined) headers.push(["mqtt-correlation-data", correlationData]);
  }
  if (retain) headers.push(["mqtt-retain", "true"]);
  if (dup) headers.push(["mqtt-dup", "true"]);
  return headers;
}

/** The last, where there are several; an empty one names nothing. */
function typeOf(property: string | string[] | undefined): string | null {
  const type = Array.isArray(property) ? property.at(-1) : property;
  return type === undefined || type === "" ? null : type;
}
