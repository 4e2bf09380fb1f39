/**
 * A host for sources under test: `append` puts into a list, drops duplicates by id, and resolves when `commit` is
 * called, or by itself a moment later, as a group commit would.
 */
import type { Appended, Arrival, Intake, NewRefusal, SourceHost, Standing } from "../../src/component.ts";
import type { Clock } from "../../src/ports.ts";
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
  readonly clock: Clock = {
    wall: () => this.wall,
    monotonic: () => this.monotonic,
    after: () => () => {},
  };
  readonly appended: (Arrival & { readonly seq: number })[] = [];
  readonly refusals: NewRefusal[] = [];
  /** What the source said of its broker, in order. */
  readonly standings: Standing[] = [];
  readonly mark = "5eed";
  written: string | null = null;
  #waiting: (() => void)[] = [];

  noted(): string | null {
    return this.written;
  }

  async note(text: string): Promise<void> {
    this.written = text;
  }

  identify(_arrival: Arrival): void | Promise<void> {}

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

  async keepRefused(refusal: NewRefusal): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.failure !== null) throw this.failure;
    this.refusals.push(refusal);
  }

  stands(standing: Standing): void {
    this.standings.push(standing);
  }

  intake(): Intake {
    return this.state;
  }
}
