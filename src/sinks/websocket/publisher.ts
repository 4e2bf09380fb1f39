/**
 * What clients publish: an event of the source that bears the sink's name, or, on an ephemeral channel, a message to those
 * who are there. Decides and appends; what the client is told is the caller's.
 */
import type { Appended, SourceHost } from "../../component.ts";
import { LeatError } from "../../errors.ts";
import { packHeaders } from "../../event.ts";
import type { Rate } from "../../plan.ts";
import type { Admission } from "../stream/access/admission.ts";
import { mayPublish } from "../stream/channels.ts";
import type { IsEphemeral } from "./ephemeral.ts";
import type { Failure } from "./messages.ts";
import type { ClientMessage } from "./parse.ts";

export type Publication = Extract<ClientMessage, { type: "publish" }>;

/** Who publishes. */
export interface Author {
  readonly admission: Admission;
  /** Its address, as in a refusal. */
  readonly address: string;
}

/** Of what was refused so much is kept. */
const REFUSED_BYTES = 1024;

const NO_SOURCE: Failure = { code: "publish_not_allowed", message: "Nothing may be published here." };

export class Publisher {
  readonly #source: SourceHost | null;
  readonly #rate: Rate;
  readonly isEphemeral: IsEphemeral;

  /** `source` null: nobody may publish. */
  constructor(source: SourceHost | null, rate: Rate, isEphemeral: IsEphemeral) {
    this.#source = source;
    this.#rate = rate;
    this.isEphemeral = isEphemeral;
  }

  /** Why this author can't publish it; null: it may. `waitMs`: until its rate allows one more, 0: it does. */
  refusal(publication: Publication, author: Author, waitMs: number): Failure | null {
    const source = this.#source;
    if (source === null) return NO_SOURCE;
    const { channel, data } = publication;
    if (!mayPublish(author.admission, channel)) {
      const message = "This client may not publish on this channel.";
      return this.#refuse("channel", publication, author, { code: "publish_not_allowed", message });
    }
    if (waitMs > 0) {
      const { count, perMs } = this.#rate;
      const message = `At most ${count} messages may be published in ${perMs / 1000} s.`;
      return this.#refuse("rate", publication, author, { code: "rate", message, retry_ms: waitMs });
    }
    if (Buffer.byteLength(data) > source.maxEventBytes) {
      const message = `An event has at most ${source.maxEventBytes} bytes.`;
      return this.#refuse("too_large", publication, author, { code: "too_large", message });
    }
    return null;
  }

  /** Resolves once it is on disk (J1); rejects as `SourceHost.append` does. Only for what isn't refused. */
  append({ channel, data, id, event }: Publication, { admission, address }: Author): Promise<Appended> {
    if (this.#source === null) return Promise.reject(new Error("there is no source to publish to"));
    const { user } = admission;
    const headers: [string, string | Uint8Array][] = [["content-type", "application/json"]];
    if (user !== null) headers.push(["leat-user", Buffer.from(user)]);
    return this.#source.append({
      id,
      type: event ?? "message",
      key: channel,
      subject: channel,
      headers: packHeaders(headers),
      body: Buffer.from(data),
      hops: 0,
      address: () => address,
    });
  }

  /** What a client is told of an append that failed. */
  failure(error: unknown): Failure {
    if (error instanceof LeatError && error.kind === "refused")
      return { code: error.code, message: error.message };
    if (error instanceof LeatError && error.kind === "unavailable") {
      const { code, message, retryAfterMs = 1000 } = error;
      return { code, message, retry_ms: retryAfterMs };
    }
    this.#source?.log.error({ err: error }, "what a client published was not appended");
    return { code: "unavailable", message: "It was not taken; try again in a moment.", retry_ms: 5000 };
  }

  #refuse(reason: string, { channel, data }: Publication, { address }: Author, failure: Failure): Failure {
    this.#source?.refuse({
      source: this.#source.name,
      reason,
      address,
      detail: `published on ${JSON.stringify(channel)}: ${failure.message}`,
      body: Buffer.from(data).subarray(0, REFUSED_BYTES),
    });
    return failure;
  }
}
