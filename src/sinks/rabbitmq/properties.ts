/** What a delivery is as a message of RabbitMQ, beside its body. */
import type { Options } from "amqplib";
import type { Message } from "../../component.ts";
import { type Event, textOf, unpackHeaders } from "../../event.ts";
import { cloudEventAttributes, leatHeaders } from "../attributes.ts";
import type { RabbitmqSinkConfig } from "./config.ts";

/** AMQP's short strings: what the content type, the message id and the type are. */
const SHORT_BYTES = 255;

export interface Properties extends Options.Publish {
  readonly headers: Readonly<Record<string, string | Buffer>>;
}

export class PropertiesOf {
  readonly #config: RabbitmqSinkConfig;
  readonly #forward: ReadonlySet<string>;

  constructor(config: RabbitmqSinkConfig) {
    this.#config = config;
    this.#forward = new Set(config.forward_headers.map((name) => name.toLowerCase()));
  }

  /** `headers.traceparent` is of this attempt alone: its span is new. */
  of(message: Message): Properties {
    const { event, contentType } = message;
    const { mandatory, persistent } = this.#config;
    return {
      mandatory,
      persistent,
      messageId: messageId(event),
      timestamp: Math.floor(event.time / 1_000),
      headers: this.#headers(message),
      ...(contentType === null ? {} : { contentType }),
      ...(isShort(event.type) ? { type: event.type } : {}),
    };
  }

  #headers(message: Message): Record<string, string | Buffer> {
    // Without a prototype: `__proto__` is a valid name.
    const headers: Record<string, string | Buffer> = Object.create(null);
    if (this.#forward.size > 0) {
      for (const [name, value] of unpackHeaders(message.event.headers)) {
        const lower = name.toLowerCase();
        if (lower !== "content-type" && this.#forward.has(lower))
          headers[name] = textOf(value) ?? Buffer.from(value);
      }
    }
    Object.assign(headers, this.#config.headers);
    for (const [name, value] of leatHeaders(message)) headers[name] = value;
    if (this.#config.cloudevents) {
      for (const [name, value] of cloudEventAttributes(message)) headers[`cloudEvents:${name}`] = value;
    }
    return headers;
  }
}

/** The event's own id; where AMQP has no room for it, what else is the same in every attempt. `leat-id` has it in any case. */
function messageId({ id, source, seq }: Event): string {
  return isShort(id) ? id : `${source}_${seq}`;
}

function isShort(text: string): boolean {
  return Buffer.byteLength(text) <= SHORT_BYTES;
}
