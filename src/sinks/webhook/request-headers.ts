/** The headers of a request: what is the same for all is made once, the rest is appended for each attempt. */
import type { KeyObject } from "node:crypto";
import type { Message } from "../../component.ts";
import { type Event, type PackedHeaders, unpackHeaders } from "../../event.ts";
import { version } from "../../version.ts";
import { leatHeaders } from "../attributes.ts";
import type { WebhookConfig } from "./config.ts";
import { asHeaderValue, isHeaderValue, mayForward } from "./headers.ts";
import { standardKey, standardSignature } from "./sign.ts";

/** An event holds something that no header can carry: no attempt can help. */
export class UnsendableHeader extends Error {}

export class RequestHeaders {
  /** Names and values in turn, as undici takes them. */
  readonly #fixed: readonly string[];
  readonly #keys: readonly KeyObject[];
  readonly #forward: ReadonlySet<string>;
  readonly #contentTypeFixed: boolean;

  constructor(config: WebhookConfig) {
    const written = Object.entries(config.headers);
    const names = new Set(written.map(([name]) => name.toLowerCase()));
    const fixed = written.flat();
    if (!names.has("user-agent")) fixed.push("user-agent", `Leat/${version}`);
    if (config.auth?.type === "bearer") fixed.push("authorization", `Bearer ${config.auth.token}`);
    if (config.auth?.type === "basic") {
      const { user, password } = config.auth;
      fixed.push("authorization", `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`);
    }
    this.#fixed = fixed;
    this.#contentTypeFixed = names.has("content-type");
    this.#keys = (config.sign?.secret ?? [])
      .map((secret) => standardKey(secret))
      .filter((key) => key !== null);
    this.#forward = new Set(
      config.forward_headers
        .map((name) => name.toLowerCase())
        .filter((name) => mayForward(name) && !names.has(name)),
    );
  }

  /**
   * @param now wall clock, ms: a signature's time stamp is that of the attempt.
   * @throws UnsendableHeader
   */
  of(message: Message, now: number): string[] {
    const { event } = message;
    const id = webhookId(event);
    const timestamp = Math.floor(now / 1000);
    const headers = [...this.#fixed, "webhook-id", id, "webhook-timestamp", String(timestamp)];
    for (const [name, value] of leatHeaders(message)) headers.push(name, asHeaderValue(value));
    if (message.contentType !== null && !this.#contentTypeFixed) {
      if (!isHeaderValue(message.contentType))
        throw new UnsendableHeader("its content-type can't stand in a header");
      headers.push("content-type", message.contentType);
    }
    if (this.#keys.length > 0) {
      headers.push("webhook-signature", standardSignature(this.#keys, id, timestamp, message.body));
    }
    if (this.#forward.size > 0) this.#pushForwarded(headers, event.headers);
    return headers;
  }

  #pushForwarded(headers: string[], own: PackedHeaders): void {
    for (const [name, bytes] of unpackHeaders(own)) {
      const lower = name.toLowerCase();
      if (!this.#forward.has(lower) || lower === "content-type") continue;
      const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
      if (!isHeaderValue(value))
        throw new UnsendableHeader(`its header ${lower} can't be passed on as it is`);
      headers.push(name, value);
    }
  }
}

/**
 * `<source>_<seq>`: the same over attempts, restarts, replays and a change of the sender's mind, and never that of
 * another event. The sender's own id wouldn't do: two sources may use the same one, and a receiver that drops
 * repeats would then drop an event; it goes along as `leat-id`. Ours holds no `.`, which ends the id in what is signed.
 */
function webhookId(event: Event): string {
  return `${event.source}_${event.seq}`;
}
