/** A stream and its readers: they come and go, stall and go on. */
import assert from "node:assert/strict";
import {
  type HearsOfLapses,
  hearsOfLapses,
  type StreamSink,
  type TakesOver,
  takesOver,
} from "../../src/component.ts";
import { streamHost } from "../../src/daemon/assembly.ts";
import { sseSink } from "../../src/sinks/sse/sink.ts";
import { silent } from "../delivery/kit.ts";
import type { SeededChance } from "../journal/simulation/chance.ts";
import type { Life } from "./life.ts";
import { StreamReader } from "./stream-reader.ts";
import { StreamTruth } from "./stream-truth.ts";
import type { Truth } from "./truth.ts";

export class Audience {
  readonly readers: readonly StreamReader[];
  readonly name: string;
  readonly #truth: Truth;
  readonly #stream: StreamTruth;
  #sink: StreamSink | null = null;

  constructor(name: string, truth: Truth) {
    this.name = name;
    this.#truth = truth;
    this.#stream = new StreamTruth(name, truth);
    const channels = [["all"], ["c.red", "c.green"], ["**"]];
    this.readers = channels.map((names) => new StreamReader(names, this.#stream, truth));
  }

  /** The stream in one life: the real one, whose every word is looked at. */
  sink(life: Life): StreamSink {
    const config = sseSink.schema.parse({
      path: `/${this.name}`,
      auth: { type: "none" },
      channels: ["all", "c.red", "c.green", "**"],
      envelope: true,
    });
    const host = { name: this.name, clock: life.clock, log: silent, hosts: null };
    const real = sseSink.create(config, streamHost(host, undefined, life.journal));
    assert.ok(hearsOfLapses(real) && takesOver(real));
    let last = 0;
    const sink: StreamSink & HearsOfLapses & TakesOver = {
      endpoint: () => real.endpoint(),
      start: () => real.start(),
      stop: () => real.stop(),
      publish: (seq, frames) => {
        if (life.ended) return;
        this.#truth.holdsThat(() => this.#stream.published(seq, frames, last));
        last = seq;
        real.publish(seq, frames);
      },
      lapse: (through) => {
        if (!life.ended) real.lapse(through);
      },
      takeOver: (through) => {
        if (!life.ended) real.takeOver(through);
      },
    };
    return sink;
  }

  /** Who comes from now on comes to this one. Gives back the one before. */
  comeTo(sink: StreamSink): StreamSink | null {
    const before = this.#sink;
    this.#sink = sink;
    return before;
  }

  /** One of the readers does something. */
  act(chance: SeededChance): void {
    const reader = chance.pick(this.readers);
    const dice = chance.random();
    if (reader === undefined) return;
    if (!reader.connected) this.#connect(reader);
    else if (dice < 0.3) reader.cut();
    else if (dice < 0.5) reader.stall();
    else reader.goOn();
  }

  /** All are there, and read. */
  gather(): void {
    for (const reader of this.readers) {
      reader.goOn();
      if (!reader.connected) this.#connect(reader);
    }
  }

  leave(): void {
    for (const reader of this.readers) reader.cut();
  }

  /** The process has ended, and their connections with it. */
  cut(): void {
    this.leave();
    this.#sink = null;
  }

  #connect(reader: StreamReader): void {
    if (this.#sink !== null) reader.connect(this.#sink.endpoint());
  }

  /** Each has all that was owed. `whole`: the index was never lost, so that nobody is told of a gap but of what lapsed. */
  checkEnd(whole: boolean): void {
    const routes = [...(this.#truth.subscription(this.name)?.routes.values() ?? [])];
    const last = Math.max(0, ...routes.flatMap(({ owed }) => [...owed]));
    for (const { connected, position, gaps } of this.readers) {
      assert.ok(connected, "a reader is not connected");
      assert.ok(
        position === null || position >= last,
        `a reader at ${position} has not got all up to ${last}`,
      );
      if (whole && !this.#stream.lapsed)
        assert.equal(gaps, 0, "a reader was told of a gap though nothing was removed");
    }
  }
}
