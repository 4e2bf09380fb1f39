/**
 * What runs in threads of its own, inline: each takes its messages in order, and answers when the simulation lets it. With
 * the process they end, and what is on its way is lost.
 */
import { LeatError } from "../../src/errors.ts";
import type { JournalTuning } from "../../src/journal/journal.ts";
import { createLedgerStore } from "../../src/journal/sqlite/ledger-store.ts";
import type {
  IndexRequest,
  IndexThread,
  IndexThreadHost,
} from "../../src/journal/sqlite/projections-client.ts";
import {
  Projections,
  type ProjectionsAnswer,
  type ProjectionsFile,
} from "../../src/journal/sqlite/projections-thread.ts";
import type { WriterClient } from "../../src/journal/sqlite/writer-client.ts";
import { WriterHost } from "../../src/journal/sqlite/writer-host.ts";
import type { FromWriter, ToWriter } from "../../src/journal/sqlite/writer-messages.ts";
import type { FaultyStorage } from "../journal/simulation/faulty-storage.ts";

export interface InlineWriterOptions {
  readonly storage: FaultyStorage;
  readonly tuning: JournalTuning;
  readonly seed: number;
  readonly monotonic: () => number;
  /** How many commits the disk has seen. */
  readonly commits: () => number;
}

/** The writer's thread, between its two queues. */
export class InlineWriter {
  readonly host: WriterHost;
  readonly client: WriterClient;
  /** Told of each message once what it asks for is on disk, also when nobody lives to hear of it. */
  committed: (message: ToWriter) => void = () => {};
  readonly #storage: FaultyStorage;
  readonly #in: ToWriter[] = [];
  readonly #out: FromWriter[] = [];
  readonly #commits: () => number;
  /** What is being handled, and how many commits there were before. */
  #underWay: { readonly messages: readonly ToWriter[]; readonly commits: number } | null = null;
  #receive: (message: FromWriter) => void = () => {};
  readonly #ended = Promise.withResolvers<void>();

  constructor({ storage, tuning, seed, monotonic, commits }: InlineWriterOptions) {
    this.#storage = storage;
    this.#commits = commits;
    this.host = new WriterHost({
      storage,
      ledger: createLedgerStore,
      tuning,
      watermark: { share: 0.1, bytes: 2 ** 30 },
      ballastBytes: 2 ** 26,
      seed,
    });
    this.client = {
      start: this.host.start,
      post: (message) => this.#in.push(marked(message, monotonic())),
      listen: (receive) => {
        this.#receive = receive;
      },
      ended: () => this.#ended.promise,
    };
  }

  get busy(): boolean {
    return this.#in.length + this.#out.length > 0;
  }

  /** Handles its next message; of groups up to so many, which have come by now. */
  work(most: number): void {
    const message = this.#in.shift();
    if (message === undefined || this.#storage.crashed) return;
    const messages = [message];
    const groups = message.kind === "group" ? [message.group] : [];
    for (let next = this.#in[0]; groups.length > 0 && groups.length < most; next = this.#in[0]) {
      if (next?.kind !== "group") break;
      this.#in.shift();
      messages.push(next);
      groups.push(next.group);
    }
    this.#underWay = { messages, commits: this.#commits() };
    const answer = groups.length > 0 ? this.host.commit(groups) : this.host.handle(message);
    if (this.#storage.crashed) return;
    if (answer?.kind === "results" && answer.results.some(({ ok }) => ok)) {
      for (const [nth, { ok }] of answer.results.entries()) if (ok) this.committed(messages[nth]!);
      this.#underWay = null;
    } else this.tellLast();
    if (answer?.kind === "closed") this.#ended.resolve();
    else if (answer !== null) this.#out.push(answer);
  }

  /**
   * What was being handled is on disk, if there was a commit, whatever was said of it: the process died of it, or was told
   * of an I/O error. Groups have one for all: if that had failed, it would not have been by the only fault.
   */
  tellLast(): void {
    const { messages, commits } = this.#underWay ?? { messages: [], commits: 0 };
    this.#underWay = null;
    if (this.#commits() > commits) for (const message of messages) this.committed(message);
  }

  /** The main thread gets its next answer. */
  answer(): void {
    const message = this.#out.shift();
    if (message !== undefined) this.#receive(message);
  }

  idle(): void {
    if (!this.#storage.crashed) this.host.idle();
  }
}

/** The journal's marks of the clock, by the machine that is simulated. */
function marked(message: ToWriter, monotonic: number): ToWriter {
  if (message.kind !== "tick" && message.kind !== "close") return message;
  return { ...message, mark: { wall: message.mark.wall, uptime: monotonic, boot: "simulated" } };
}

/** A reader's thread: questions to synchronous queries. */
export class InlineReader {
  #questions: { answer: () => void; fail: () => void }[] = [];

  get busy(): boolean {
    return this.#questions.length > 0;
  }

  ask<A extends unknown[], R>(query: (...args: A) => R): (...args: A) => Promise<R> {
    return (...args) =>
      new Promise((resolve, reject) => {
        this.#questions.push({
          answer: () => {
            try {
              resolve(query(...args));
            } catch (error) {
              reject(error);
            }
          },
          fail: () => reject(new LeatError("unavailable", "simulated", "The reader can't answer now.")),
        });
      });
  }

  work(fails = false): void {
    const question = this.#questions.shift();
    if (fails) question?.fail();
    else question?.answer();
  }
}

/** The projections' thread. */
export class InlineProjections implements IndexThread {
  readonly #projections: Projections;
  readonly #host: IndexThreadHost;
  readonly #crashed: () => boolean;
  readonly #requests: IndexRequest[] = [];
  readonly #answers: ProjectionsAnswer[] = [];

  constructor(crashed: () => boolean, file: ProjectionsFile, host: IndexThreadHost) {
    this.#crashed = crashed;
    this.#projections = new Projections(file);
    this.#host = host;
  }

  get busy(): boolean {
    return this.#requests.length + this.#answers.length > 0;
  }

  post(message: IndexRequest): void {
    this.#requests.push(message);
  }

  async end(): Promise<void> {
    this.#requests.length = 0;
  }

  work(): void {
    const message = this.#requests.shift();
    if (message === undefined || this.#crashed()) return;
    const answer = this.#projections.answer(message.number, message.request);
    if (!this.#crashed()) this.#answers.push(answer);
  }

  answer(): void {
    const answer = this.#answers.shift();
    if (answer !== undefined) this.#host.answered(answer);
  }
}
