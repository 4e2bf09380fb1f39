/** One attempt at the sink, bounded in time whatever the sink does. */
import type { Message, PushedSink, Report } from "../component.ts";
import { type Clock, STOOD_STILL_MS } from "../ports.ts";
import { withoutSecrets } from "../secrets.ts";

/** How long a sink may take to settle after its signal aborted. Beyond it the slot is more important than its answer. */
const GRACE_MS = 2_000;

/** Why an attempt's signal aborted. */
class AttemptAborted extends Error {
  readonly why: "timeout" | "stop";

  constructor(why: "timeout" | "stop", message: string) {
    super(message);
    this.name = "AttemptAborted";
    this.why = why;
  }
}

export class Attempt {
  /** Never rejects. */
  readonly report: Promise<Report>;
  readonly #controller = new AbortController();
  readonly #clock: Clock;
  readonly #resolve: (report: Report) => void;
  readonly #onDefect: (error: unknown) => void;
  #cancelTimeout: () => void;
  #stopped = false;

  /** `onDefect` is told what the sink threw, which it never should. */
  constructor(
    sink: PushedSink,
    message: Message,
    timeoutMs: number,
    clock: Clock,
    onDefect: (error: unknown) => void,
  ) {
    const { promise, resolve } = Promise.withResolvers<Report>();
    this.report = promise;
    this.#resolve = resolve;
    this.#clock = clock;
    this.#onDefect = onDefect;
    const due = clock.monotonic() + timeoutMs;
    const timeout = () => this.#end("timeout", `no answer within ${timeoutMs} ms`);
    this.#cancelTimeout = clock.after(timeoutMs, () => {
      if (clock.monotonic() - due < STOOD_STILL_MS) timeout();
      // The answer may lie in the socket's buffer: without a moment to read it all that is under way would fail at once.
      else this.#cancelTimeout = clock.after(GRACE_MS, timeout);
    });
    this.#deliver(sink, message);
  }

  /** It was `abort` that ended it, not the receiver: nothing was learnt. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Ends it early: the daemon stops. */
  abort(): void {
    this.#stopped = true;
    this.#cancelTimeout();
    this.#end("stop", "the daemon is stopping");
  }

  #deliver(sink: PushedSink, message: Message): void {
    const defect = (error: unknown) => {
      this.#cancelTimeout();
      this.#onDefect(error);
      this.#resolve({ result: "failed", error: "internal", message: withoutSecrets(String(error)) });
    };
    try {
      sink.deliver(message, this.#controller.signal).then((report) => {
        this.#cancelTimeout();
        this.#resolve(report);
      }, defect);
    } catch (error) {
      defect(error);
    }
  }

  #end(why: "timeout" | "stop", message: string): void {
    this.#controller.abort(new AttemptAborted(why, message));
    this.#clock.after(GRACE_MS, () => {
      this.#resolve({
        result: "failed",
        error: "timeout",
        message: "the sink did not give up when it was told to",
      });
    });
  }
}
