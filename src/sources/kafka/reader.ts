/**
 * Reads a group's share of topics, one connection's life after the other.
 *
 *   look for topics ──► join the group ──► read ──► … ──► over ──► (supervised) ──► look for topics …
 *          ▲                                 │
 *          └──────── other topics ◄──────────┘
 */
import { asBrokerError, protocolError } from "../../brokers/kafka/failure.ts";
import { GroupMember } from "../../brokers/kafka/group.ts";
import { type Looking, look } from "../../brokers/kafka/looking.ts";
import type { GroupListener } from "../../brokers/kafka/port.ts";
import { type BrokerError, type Supervised, supervise } from "../../brokers/supervise.ts";
import { pause, unlessAborted } from "../../brokers/wait.ts";
import type { HasLag, Source, SourceHost } from "../../component.ts";
import { systemChance } from "../../ports.ts";
import { PartitionIntake } from "./intake.ts";
import { Progress, placeOf } from "./progress.ts";
import type { KafkaSourceConfig } from "./source.ts";
import { type TopicChoice, topicChoice } from "./topics.ts";

interface Problem {
  readonly error: string;
  readonly message: string;
}

interface Found {
  readonly topics: readonly string[];
  /** Of the first of the named topics that can't be read. */
  readonly missing: BrokerError | null;
}

export class KafkaReader implements Source, HasLag {
  readonly #config: KafkaSourceConfig;
  readonly #host: SourceHost;
  readonly #choice: TopicChoice;
  readonly #progress = new Progress();
  readonly #intake: PartitionIntake;
  /** Topics that were there at the first look and ever since: only there may a start at the end skip what there is. */
  #old: ReadonlySet<string> | null = null;
  #missing: Problem | null = null;
  #halted: Problem | null = null;
  #supervised: Supervised | null = null;

  constructor(config: KafkaSourceConfig, host: SourceHost) {
    this.#config = config;
    this.#host = host;
    this.#choice = topicChoice(config.topics);
    this.#intake = new PartitionIntake(host, {
      oversize: config.oversize,
      progress: this.#progress,
      halted: (problem) => {
        this.#halted = problem;
        this.#stand();
      },
    });
  }

  async start(): Promise<void> {
    const { clock, log } = this.#host;
    const stands: SourceHost["stands"] = (standing) => this.#host.stands(standing);
    this.#supervised = supervise({ clock, chance: systemChance, log, stands }, (up, signal) =>
      this.#live(up, signal),
    );
  }

  async stop(): Promise<void> {
    await this.#supervised?.stop();
  }

  lag(): number | null {
    return this.#progress.lag();
  }

  async #live(up: () => void, signal: AbortSignal): Promise<void> {
    this.#progress.assigned(new Map());
    while (!signal.aborted) {
      const found = await this.#look(signal, (looking) => this.#find(looking));
      if (found.topics.length === 0 && found.missing !== null) throw found.missing;
      this.#missing = found.missing;
      const other = new AbortController();
      const watching = this.#watch(found, other, signal);
      try {
        const standing = () => {
          up();
          this.#stand();
        };
        await this.#read(found, standing, AbortSignal.any([signal, other.signal]));
      } finally {
        other.abort();
        await watching;
      }
    }
  }

  async #read({ topics }: Found, up: () => void, signal: AbortSignal): Promise<void> {
    this.#halted = null;
    this.#intake.begin();
    if (topics.length === 0) {
      up();
      this.#host.log.warn({ topics: this.#config.topics }, "there is no such topic yet");
      await unlessAborted(new Promise<never>(() => {}), signal);
      return;
    }
    const { clock, log } = this.#host;
    const listener: GroupListener = {
      take: (hand, over) => this.#intake.take(hand, over),
      assigned: (ours) => {
        this.#progress.assigned(ours);
        this.#intake.assigned(ours);
      },
      outOfRange: (topic, partition) => this.#outOfRange(topic, partition),
    };
    const { group, start, session_timeout: sessionTimeoutMs } = this.#config;
    const options = {
      group,
      topics,
      start: (topic: string) => (this.#old?.has(topic) === true ? start : "earliest"),
      sessionTimeoutMs,
    };
    await new GroupMember(this.#config, options, listener, { clock, log }).run(up, signal);
  }

  /** Ends the reading when there are other topics to read; keeps the lag's other half. */
  async #watch(found: Found, other: AbortController, signal: AbortSignal): Promise<void> {
    const over = AbortSignal.any([signal, other.signal]);
    while (!over.aborted) {
      await pause(this.#host.clock, this.#config.discover, over);
      if (over.aborted) return;
      try {
        const now = await this.#look(over, async (looking) => {
          const again = await this.#find(looking);
          for (const topic of this.#progress.topics()) {
            if (!again.topics.includes(topic)) continue;
            for (const [partition, end] of await looking.ends(topic))
              this.#progress.ends(topic, partition, end);
          }
          return again;
        });
        if (now.topics.join() !== found.topics.join()) other.abort();
      } catch (error) {
        // Whoever reads finds out by itself whether the brokers are gone.
        this.#host.log.debug({ err: error }, "couldn't look for new topics");
      }
    }
  }

  #look<T>(signal: AbortSignal, ask: (looking: Looking) => Promise<T>): Promise<T> {
    return look(this.#config, this.#host.log, signal, ask);
  }

  async #find(looking: Looking): Promise<Found> {
    const all = new Set(await looking.topics());
    const topics = [...all]
      .filter((topic) => this.#choice.names.includes(topic) || this.#choice.matches(topic))
      .toSorted();
    const first = this.#old === null;
    this.#old = new Set(topics.filter((topic) => first || this.#old?.has(topic) === true));
    const absent = this.#choice.names.find((name) => !all.has(name));
    return { topics, missing: absent === undefined ? null : await this.#why(looking, absent) };
  }

  /** A topic that isn't listed isn't there, or isn't ours to see. */
  async #why(looking: Looking, topic: string): Promise<BrokerError> {
    try {
      await looking.topic(topic);
    } catch (error) {
      if (protocolError(error) !== "") return asBrokerError(error, `topic ${topic}`);
      throw error;
    }
    // It has come just now: the next look finds it.
    return asBrokerError(new Error("it was there a moment later"), `topic ${topic}`);
  }

  #outOfRange(topic: string, partition: number): void {
    const next = this.#progress.next(topic, partition);
    const place = placeOf(topic, partition);
    const detail = `${place}: the place ${next === undefined ? "that the group had" : `we had, ${next},`} isn't there any more: Kafka has removed records before they were read, or the topic was deleted and made anew. It goes on with the oldest there is`;
    this.#host.log.error({ topic, partition, next }, "records were removed by Kafka before they were read");
    void this.#intake.tell("upstream_loss", place, detail);
  }

  #stand(): void {
    const problem = this.#halted ?? this.#missing;
    if (problem === null) this.#host.stands({ state: "connected" });
    else this.#host.stands({ state: "waiting", error: problem.error, message: problem.message });
  }
}
