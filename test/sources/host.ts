/**
 * A host for sources under test: `append` puts into a list, drops duplicates by id, and resolves when `commit` is
 * called, or by itself a moment later, as a group commit would.
 */
import type { Appended, Arrival, Intake, NewRefusal, SourceHost } from "../../src/component.ts";
import { keptLog } from "../http/log.ts";

export class TestHost implements SourceHost {
  readonly name = "hook";
  readonly log = keptLog().log;
  maxEventBytes = 1024 * 1024;
  /** What `intake` says. */
  state: Intake = { open: true };
  /** What `append` rejects with, if anything. */
  failure: Error | null = null;
  /** While true, appends wait for `commit`. */
  holding = false;
  wall = 1_700_000_000_000;
  monotonic = 0;
  readonly clock = {
    wall: () => this.wall,
    monotonic: () => this.monotonic,
    after: () => () => {},
  };
  readonly appended: (Arrival & { readonly seq: number })[] = [];
  readonly refusals: NewRefusal[] = [];
  #waiting: (() => void)[] = [];

  async append(arrival: Arrival): Promise<Appended> {
    await new Promise<void>((resolve) => {
      if (this.holding) this.#waiting.push(resolve);
      else setImmediate(resolve);
    });
    if (this.failure !== null) throw this.failure;
    const first = arrival.id === null ? undefined : this.appended.find(({ id }) => id === arrival.id);
    if (first !== undefined) {
      const differs = Buffer.compare(first.body, arrival.body) !== 0;
      return { seq: first.seq, id: first.id ?? "", duplicate: true, differs };
    }
    const seq = 1_795_224_065_810_042 + this.appended.length;
    this.appended.push({ ...arrival, seq });
    return { seq, id: arrival.id ?? `new-${seq}`, duplicate: false, differs: false };
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  commit(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  refuse(refusal: NewRefusal): void {
    this.refusals.push(refusal);
  }

  intake(): Intake {
    return this.state;
  }
}
