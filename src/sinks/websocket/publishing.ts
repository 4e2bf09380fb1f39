/** What one client publishes: at its rate, and acknowledged once it is kept. */
import { TokenBucket } from "../../token-bucket.ts";
import type { Session } from "../stream/access/session.ts";
import type { Inbox } from "./inbox.ts";
import type { Line } from "./line.ts";
import * as say from "./messages.ts";
import type { Publication } from "./publisher.ts";

export class Publishing {
  readonly #line: Line;
  readonly #inbox: Inbox;
  #rate: TokenBucket | null = null;

  constructor(line: Line, inbox: Inbox) {
    this.#line = line;
    this.#inbox = inbox;
  }

  publish(publication: Publication, { admission, credential }: Session): void {
    const line = this.#line;
    const { clock, publisher, publishRate, crowd } = line.common;
    const { channel, ref, data, event } = publication;
    const now = clock.monotonic();
    this.#rate ??= TokenBucket.ofSource(publishRate, now);
    const author = { admission, address: credential.address };
    const failure = publisher.refusal(publication, author, this.#rate.waitMs(now));
    if (failure !== null) {
      line.refuse({ ...failure, ref, channel });
      return;
    }
    this.#rate.take();
    if (publisher.isEphemeral(admission, channel)) {
      crowd.handRound(channel, say.ephemeral(channel, data, admission.user, event ?? undefined), line);
      if (ref !== undefined) line.tell(say.ephemeralAck(ref));
      return;
    }
    this.#inbox.appending();
    void publisher.append(publication, author).then(
      ({ seq, id, duplicate, differs }) => {
        if (ref !== undefined) line.tell(say.ack({ ref, seq, id, duplicate, differs }));
        this.#inbox.appended();
      },
      (error: unknown) => {
        line.tell(say.error({ ...publisher.failure(error), ref, channel }));
        this.#inbox.appended();
      },
    );
  }
}
