/**
 * A member of a consumer group, for one life of a connection, by kafkajs. It never restarts itself: kafkajs gives a
 * consumer up for good after some errors (`restart: false`), and stalls without a word after others, so whatever ends
 * ours, the supervisor begins a new one.
 *
 *   connect ──► join ──► fetch ──► take ──► (commit, behind our back) ──► fetch …
 *                ▲                   │
 *                └── rebalancing ◄───┘ a heartbeat says so; what is in hand is finished first
 */
import type { Consumer, EachBatchPayload, LogEntry } from "kafkajs";
import type { Clock, Logger } from "../../ports.ts";
import { BrokerError } from "../supervise.ts";
import { assigner } from "./assigner.ts";
import { type Client, openClient, REQUEST_MS } from "./client.ts";
import { Commits } from "./commits.ts";
import type { KafkaConnection } from "./connection.ts";
import { asBrokerError } from "./failure.ts";
import type { BatchMessage } from "./kafkajs-mends.ts";
import { placeAtEnd } from "./place.ts";
import type { GroupListener, GroupOptions } from "./port.ts";
import { Watchdog } from "./watchdog.ts";

/** A fetch waits so long for something new, so a member leaves its group within that. */
const FETCH_WAIT_MS = 500;
/** What one broker's fetch, and one partition's part of it, may hold: what is in memory at a time. */
const FETCH_BYTES = 8 * 1024 * 1024;
const PARTITION_BYTES = 1024 * 1024;
/** So often it is looked for partitions that were added and leaders that moved. */
const METADATA_MS = 30_000;
const REBALANCE_MS = 60_000;
/** Batches are taken by promises: what is fetched may all be taken at once. */
const PARTITIONS_AT_ONCE = 64;
/** While something is in hand; kafkajs sends no more of them than the group wants. */
const BEAT_MS = 1_000;
/** The group rebalances: so long it is made to wait for what is in hand. */
const LINGER_MS = 10_000;
/** An orderly end, with the last commit and a word to the group, may take so long. */
const GRACE_MS = 3_000;

/** What kafkajs tells in its log only: a place that isn't there, and why it finds no coordinator. */
const OUT_OF_RANGE = "Offset out of range, resetting to default offset";
const NO_COORDINATOR = "Tried to find group coordinator";

/** What stands still; `resume` lets it go on. */
interface Halted {
  readonly topic: string;
  readonly partition: number;
  readonly resume: () => void;
}

interface Work {
  readonly since: number;
  readonly done: Promise<void>;
}

export interface GroupTools {
  readonly clock: Clock;
  readonly log: Logger;
  /** Without a sign of life for so long, a client has stalled. */
  readonly stallMs?: number;
}

export class GroupMember {
  readonly #client: Client;
  readonly #options: GroupOptions;
  readonly #listener: GroupListener;
  readonly #tools: GroupTools;
  readonly #consumer: Consumer;
  readonly #commits: Commits;
  readonly #watchdog: Watchdog;
  readonly #ending = new AbortController();
  readonly #over = Promise.withResolvers<void>();
  /** By topic and partition. */
  readonly #work = new Map<string, Work>();
  #halted: Halted[] = [];
  #placed: Promise<void> = Promise.resolve();
  /** Why the coordinator wasn't found, at the last try. */
  #noCoordinator: unknown = null;

  constructor(
    connection: KafkaConnection,
    options: GroupOptions,
    listener: GroupListener,
    tools: GroupTools,
  ) {
    const client = openClient(connection, { log: tools.log, logged: (entry) => this.#logged(entry) });
    this.#client = client;
    this.#options = options;
    this.#listener = listener;
    this.#tools = tools;
    this.#commits = new Commits(tools.clock, tools.log, (error) => this.#fail(error));
    this.#watchdog = new Watchdog(tools.clock, {
      stallMs: tools.stallMs ?? REQUEST_MS + 15_000,
      joinMs: REBALANCE_MS,
      inHand: () => [...this.#work.values()].map(({ since }) => since),
      stalled: () =>
        this.#fail(new BrokerError("stalled", `${client.where}: the client has stalled; a new one is made`)),
    });
    this.#consumer = client.kafka.consumer({
      groupId: options.group,
      partitionAssigners: [assigner],
      allowAutoTopicCreation: false,
      sessionTimeout: options.sessionTimeoutMs,
      rebalanceTimeout: REBALANCE_MS,
      heartbeatInterval: Math.min(3_000, options.sessionTimeoutMs / 3),
      metadataMaxAge: METADATA_MS,
      maxBytesPerPartition: PARTITION_BYTES,
      maxBytes: FETCH_BYTES,
      minBytes: 1,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 5, restartOnFailure: async () => false },
    });
    // Whoever runs it listens; a failure before that is told then.
    this.#over.promise.catch(() => {});
  }

  /** One life. Resolves once `signal` has aborted and all is handed back; rejects with a BrokerError. */
  async run(up: () => void, signal: AbortSignal): Promise<void> {
    const end = () => this.#over.resolve();
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
    try {
      this.#listen(up);
      this.#begin().catch((error: unknown) => this.#fail(error));
      await this.#over.promise;
    } finally {
      signal.removeEventListener("abort", end);
      await this.#end();
    }
  }

  #fail(error: unknown): void {
    const meant = asBrokerError(error, this.#client.where);
    const { where } = this.#client;
    // All that kafkajs has left of a group that we may not use is that it found nobody to ask.
    const hidden = meant.error === "coordinator" && this.#noCoordinator !== null;
    this.#over.reject(hidden ? asBrokerError(this.#noCoordinator, where) : meant);
  }

  #logged({ log }: LogEntry): void {
    if (log.message === OUT_OF_RANGE) this.#listener.outOfRange(String(log.topic), Number(log.partition));
    if (log.message === NO_COORDINATOR) this.#noCoordinator = log.error;
  }

  #listen(up: () => void): void {
    const { CRASH, GROUP_JOIN, REBALANCING, FETCH, FETCH_START } = this.#consumer.events;
    this.#consumer.on(CRASH, ({ payload }) => this.#fail(payload.error));
    this.#consumer.on(REBALANCING, () => this.#watchdog.joining());
    this.#consumer.on(FETCH_START, ({ payload }) => this.#watchdog.alive(payload.nodeId));
    this.#consumer.on(FETCH, ({ payload }) => this.#watchdog.alive(payload.nodeId));
    this.#consumer.on(GROUP_JOIN, ({ payload }) => {
      this.#watchdog.joined();
      const ours = new Map(Object.entries(payload.memberAssignment));
      const isOurs = (topic: string, partition: number) => ours.get(topic)?.includes(partition) === true;
      this.#commits.keep(isOurs);
      this.#keepHalted(isOurs);
      this.#placed = this.#place(ours, payload.isLeader);
      this.#listener.assigned(ours);
      up();
    });
  }

  async #begin(): Promise<void> {
    this.#watchdog.start();
    await this.#consumer.connect();
    // Of `latest`, `placeAtEnd` takes care: what kafkajs would do is skip all that was lost sight of, too.
    await this.#consumer.subscribe({ topics: [...this.#options.topics], fromBeginning: true });
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
      eachBatch: (payload) => this.#eachBatch(payload),
    });
  }

  /** What another member has now is looked at anew should it come back: kafkajs would leave it paused. */
  #keepHalted(isOurs: (topic: string, partition: number) => boolean): void {
    for (const { topic, partition, resume } of this.#halted) if (!isOurs(topic, partition)) resume();
    this.#halted = this.#halted.filter(({ topic, partition }) => isOurs(topic, partition));
  }

  async #place(ours: ReadonlyMap<string, readonly number[]>, leads: boolean): Promise<void> {
    const atEnd = new Map([...ours].filter(([topic]) => this.#options.start(topic) === "latest"));
    if (atEnd.size === 0) return;
    try {
      await placeAtEnd(this.#client.kafka, this.#consumer, {
        group: this.#options.group,
        partitions: atEnd,
        leads,
        clock: this.#tools.clock,
        signal: this.#ending.signal,
      });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Never lets an error of ours out: of a TypeError kafkajs would die for good, of any other begin all partitions anew. */
  async #eachBatch(payload: EachBatchPayload): Promise<void> {
    const { topic, partition } = payload.batch;
    const place = `${topic}/${partition}`;
    const before = this.#work.get(place)?.done;
    const done = Promise.resolve(before)
      .then(() => this.#take(payload))
      .catch((error: unknown) => this.#fail(error));
    const work = { since: this.#tools.clock.monotonic(), done };
    this.#work.set(place, work);
    void done.finally(() => {
      if (this.#work.get(place) === work) this.#work.delete(place);
    });
    const lost = await this.#beating(done, payload);
    if (lost !== null || !payload.isRunning()) await this.#commits.flush();
    // Of kafkajs itself, and for it: it joins the group again.
    if (lost !== null) throw lost;
  }

  async #take(payload: EachBatchPayload): Promise<void> {
    const { batch, resolveOffset, commitOffsetsIfNecessary, isRunning, isStale, pause } = payload;
    const { topic, partition } = batch;
    await this.#placed;
    if (!isRunning() || isStale() || this.#ending.signal.aborted) return;
    const messages = batch.messages as unknown as readonly BatchMessage[];
    await this.#listener.take(
      {
        topic,
        partition,
        batches: messages.map((message) => message.batch),
        from: Number(Reflect.get(batch, "fetchedOffset")),
        end: Number(batch.highWatermark),
        taken: (next) => {
          try {
            resolveOffset(String(next - 1));
          } catch {
            // kafkajs has joined the group again meanwhile, and the topic isn't ours any more.
            return;
          }
          this.#commits.add(topic, partition, next, commitOffsetsIfNecessary);
        },
        halt: () => this.#halted.push({ topic, partition, resume: pause() }),
      },
      this.#ending.signal,
    );
  }

  /** Waits for `done` and keeps our place in the group meanwhile. Returns the error of a heartbeat, if one failed. */
  async #beating(done: Promise<void>, { heartbeat }: EachBatchPayload): Promise<unknown> {
    const { clock } = this.#tools;
    let lost: unknown = null;
    let cancel = () => {};
    const lingered = Promise.withResolvers<void>();
    const beat = () => {
      cancel = clock.after(BEAT_MS, () => {
        heartbeat().then(beat, (error: unknown) => {
          lost = error;
          cancel = clock.after(LINGER_MS, lingered.resolve);
        });
      });
    };
    beat();
    await Promise.race([done, lingered.promise]);
    cancel();
    return lost;
  }

  /** In good order if it can be: what is in hand is finished, the places committed, the group told. */
  async #end(): Promise<void> {
    this.#watchdog.stop();
    this.#ending.abort();
    const inHand = Promise.all([...this.#work.values()].map(({ done }) => done));
    const orderly = (async () => {
      await inHand;
      await this.#commits.flush();
      await this.#consumer.disconnect();
    })().catch(() => {});
    await this.#within(GRACE_MS, orderly);
    this.#client.destroy();
    this.#commits.close();
    // The journal's yes to what is being appended may take longer than Kafka's to our leaving.
    await inHand;
    await this.#within(GRACE_MS, orderly);
  }

  async #within(ms: number, what: Promise<void>): Promise<void> {
    const late = Promise.withResolvers<void>();
    const cancel = this.#tools.clock.after(ms, late.resolve);
    await Promise.race([what, late.promise]);
    cancel();
  }
}
