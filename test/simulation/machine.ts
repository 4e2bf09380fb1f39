/** The machine that processes come and go on: its disks, its clock, and the chance that all of it is drawn from. */
import { migrate } from "../../src/journal/sqlite/schema.ts";
import { SeededChance } from "../journal/simulation/chance.ts";
import { type Fault, FaultyStorage } from "../journal/simulation/faulty-storage.ts";
import { SimulatedClock } from "../journal/simulation/simulated-clock.ts";
import { Disk } from "./disk.ts";

/** Whatever waits for nothing but the event loop has run when it resolves. */
export function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export class Machine {
  readonly chance: SeededChance;
  readonly clock = new SimulatedClock();
  /** `journal.db`. */
  readonly disk = new Disk();
  /** `streams.db`. */
  indexDisk = new Disk();
  /** How often the wall clock was set, and when last in this process (monotonic). */
  steps = 0;
  steppedAt = Number.NEGATIVE_INFINITY;
  /** How far the wall clock was from the monotonic one when this process began. */
  offset = 0;
  /** What strikes the next process: at which call into the storage, and for how many. */
  nextFault: { readonly after: number; readonly kind: Fault; readonly times: number } | null = null;
  /** The storage of the process that is opening, or was opened last. */
  opening: FaultyStorage | null = null;
  /** The streams' file has been lost once: what the journal hasn't got either is gone. */
  indexLost = false;
  /** Of all processes. */
  readonly #storages: FaultyStorage[] = [];
  #offset = 0;

  constructor(seed: number) {
    this.chance = new SeededChance(seed);
    migrate(this.disk, this.clock.wall());
  }

  aim(storage: FaultyStorage): void {
    this.opening = storage;
    this.#storages.push(storage);
    this.steppedAt = Number.NEGATIVE_INFINITY;
    this.offset = Math.round(this.clock.wall() - this.clock.monotonic());
    if (this.nextFault === null) return;
    const { after, kind, times } = this.nextFault;
    storage.failAfter(after, kind, times);
  }

  openIndex(): FaultyStorage {
    const storage = new FaultyStorage(this.indexDisk, this.chance);
    const { chance } = this;
    this.#storages.push(storage);
    if (this.nextFault !== null && chance.odds(0.3)) {
      storage.failAfter(1 + chance.below(100), chance.odds(0.7) ? "full" : "io", 1 + chance.below(4));
    }
    return storage;
  }

  /** How often each fault has struck, in the journal's file or in the streams'. */
  struck(): Record<Fault, number> {
    const counts: Record<Fault, number> = { full: 0, io: 0, crash: 0, defect: 0 };
    for (const { struck } of this.#storages) for (const fault of struck) counts[fault]++;
    return counts;
  }

  /** The streams' file is gone, or put aside. */
  loseIndex(): void {
    this.indexLost = true;
    this.indexDisk.discard();
    this.indexDisk = new Disk();
  }

  /** Time passes: whatever a timer brings about happens before the next one. */
  async pass(ms: number): Promise<void> {
    const end = this.clock.monotonic() + ms;
    while (this.clock.fire(end)) await turnOfTheLoop();
  }

  /** Somebody sets the wall clock an hour back, or forth, or right again. */
  stepClock(): void {
    const hour = 3_600_000;
    const offset = this.chance.pick([-hour, 0, hour].filter((one) => one !== this.#offset));
    this.clock.step(offset - this.#offset);
    this.#offset = offset;
    this.steps++;
    this.steppedAt = this.clock.monotonic();
  }

  get clockIsRight(): boolean {
    return this.#offset === 0;
  }

  /** What the process that ended had not committed is gone, and with the power what was not synced. */
  stop(power: boolean): void {
    for (const disk of [this.disk, this.indexDisk]) {
      if (power) disk.powerLost(this.chance);
      else disk.killed();
    }
    this.clock.forget();
  }

  discard(): void {
    this.clock.forget();
    this.disk.discard();
    this.indexDisk.discard();
  }
}
