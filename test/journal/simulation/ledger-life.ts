/** The real ledger on a simulated process, its readers answering when the simulation lets them. */
import { SqliteLedger } from "../../../src/journal/sqlite/ledger.ts";
import { LedgerQueries } from "../../../src/journal/sqlite/ledger-queries.ts";
import type { LedgerStart } from "../../../src/journal/sqlite/ledger-store.ts";
import { type AskedLog, SqliteLog } from "../../../src/journal/sqlite/log.ts";
import { LogQueries } from "../../../src/journal/sqlite/log-queries.ts";
import { quiet } from "../sqlite/journal-kit.ts";
import type { Process, World } from "./world.ts";

export class LedgerLife {
  readonly process: Process;
  readonly ledger: SqliteLedger;
  trusted = true;
  readonly #answers: (() => void)[] = [];
  readonly #process: Process;

  constructor(world: World, process: Process) {
    this.process = process;
    this.#process = process;
    const log = new LogQueries(world.disk);
    const people = new LedgerQueries(world.disk);
    const ask =
      <A extends unknown[], R>(query: (...args: A) => R) =>
      (...args: A): Promise<R> =>
        new Promise((resolve, reject) => {
          this.#answers.push(() => {
            try {
              resolve(query(...args));
            } catch (error) {
              reject(error);
            }
          });
        });
    const asked: AskedLog = {
      read: ask(log.read.bind(log)),
      get: ask(log.get.bind(log)),
      load: ask(log.load.bind(log)),
      total: ask(log.total.bind(log)),
      mark: ask(log.mark.bind(log)),
      seqBefore: ask(log.seqBefore.bind(log)),
      agedThrough: ask(log.agedThrough.bind(log)),
      seqAtTotal: ask(log.seqAtTotal.bind(log)),
    };
    const { start, committer, ring } = process;
    this.ledger = new SqliteLedger({
      commits: committer,
      feed: new SqliteLog(committer, ring, asked, quiet),
      clock: world.clock,
      start: start.ledger as LedgerStart,
      sinks: start.sinks,
      clean: start.clean,
      mayExpireByAge: () => this.trusted,
      dead: ask(people.dead.bind(people)),
    });
  }

  /** A reader answers its next question. */
  answer(): void {
    const next = this.#answers.shift();
    if (next !== undefined && !this.#process.storage.crashed) next();
  }

  /** Everything on its way arrives, and what follows from it. */
  async settle(): Promise<void> {
    for (let quietTurns = 0; quietTurns < 3 && !this.process.storage.crashed; ) {
      const busy = this.#answers.length > 0;
      while (this.#answers.length > 0) this.answer();
      this.process.settle();
      await microtasks();
      quietTurns = busy || this.#answers.length > 0 ? 0 : quietTurns + 1;
    }
  }
}

export async function microtasks(): Promise<void> {
  for (let n = 0; n < 8; n++) await null;
}
