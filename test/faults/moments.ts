/** The moments at which a kill -9 meets the daemon: each is a place in the code where something is half done. */
import { STEP_BEGINS } from "./later-schema.ts";
import type { DiskFault, SqlFault } from "./plant.ts";

export interface Moment {
  readonly name: string;
  /** In the process itself, at a statement or at a system call. */
  readonly sql?: SqlFault;
  readonly disk?: DiskFault;
  /** In the receiver's hands: when its nth request since the start has come, or once that was answered. */
  readonly receiver?: { readonly nth: number; readonly when: "asked" | "answered" };
  /** The configuration is replaced and SIGHUP sent; only then the fault is armed. */
  readonly reload?: boolean;
  /** The next start brings the journal a version on, and meets it there. */
  readonly migration?: boolean;
}

const WRITER = "journal writer";
const CHECKPOINTS = "journal checkpoints";
const SETTLED = "^UPDATE account .*delivered = delivered";
const RETENTION = "^DELETE FROM event";
const RELAXED = "^PRAGMA synchronous = FULL$";
const ADDED = "^INSERT INTO subscription|^UPDATE subscription SET name";
const RETIRED = "^UPDATE subscription SET active = 0";

/**
 * `chance` yields a number below its argument. Counts are small enough that a second or two of load reaches them, and
 * differ from run to run.
 */
export function moments(chance: (below: number) => number, armedBy: string): Moment[] {
  const some = (least: number, most: number) => least + chance(most - least);
  const sql = (
    thread: string,
    pattern: string,
    when: SqlFault["when"],
    nth: number,
    armed = false,
  ): { sql: SqlFault } => ({
    sql: { thread, sql: pattern, when, nth, does: "kill", ...(armed ? { armedBy } : {}) },
  });
  const disk = (file: string, call: DiskFault["call"], does: DiskFault["does"], nth: number) => ({
    disk: { file, call, does, nth },
  });
  return [
    { name: "commit: in the transaction", ...sql(WRITER, "^INSERT INTO event", "after", some(20, 400)) },
    { name: "commit: before COMMIT", ...sql(WRITER, "^COMMIT", "before", some(20, 400)) },
    { name: "commit: after COMMIT, before anybody hears", ...sql(WRITER, "^COMMIT", "after", some(20, 400)) },
    { name: "commit: between two pages", ...disk("journal.db-wal", "write", "kill-before", some(200, 2000)) },
    { name: "commit: within a page", ...disk("journal.db-wal", "write", "kill-within", some(200, 2000)) },
    { name: "commit: before the fsync", ...disk("journal.db-wal", "sync", "kill-before", some(20, 400)) },
    { name: "commit: after the fsync", ...disk("journal.db-wal", "sync", "kill-after", some(20, 400)) },
    { name: "delivery: asked, not answered", receiver: { nth: some(50, 800), when: "asked" } },
    { name: "delivery: answered, not settled", receiver: { nth: some(50, 800), when: "answered" } },
    {
      name: "settlement: before its rows",
      ...sql(WRITER, "^UPDATE subscription SET cursor", "before", some(10, 300)),
    },
    { name: "settlement: between its rows", ...sql(WRITER, SETTLED, "after", some(10, 300)) },
    {
      name: "stream index: in the transaction",
      ...sql("leat-projections", "^INSERT INTO frame", "after", some(50, 800)),
    },
    { name: "stream index: after its COMMIT", ...sql("leat-projections", "^COMMIT", "after", some(10, 50)) },
    { name: "checkpoint: before", ...sql(CHECKPOINTS, "wal_checkpoint.PASSIVE", "before", 1) },
    { name: "checkpoint: within", ...disk("journal.db", "write", "kill-within", some(10, 300)) },
    { name: "checkpoint: before its fsync", ...disk("journal.db", "sync", "kill-before", 1) },
    { name: "checkpoint: after its fsync", ...disk("journal.db", "sync", "kill-after", 1) },
    { name: "checkpoint: after", ...sql(CHECKPOINTS, "wal_checkpoint.PASSIVE", "after", 1) },
    { name: "checkpoint: the log begins anew", ...sql(WRITER, "wal_checkpoint.PASSIVE", "after", 1) },
    { name: "retention: before it deletes", ...sql(WRITER, RETENTION, "before", some(1, 20)) },
    { name: "retention: in the transaction", ...sql(WRITER, RETENTION, "after", some(1, 20)) },
    { name: "retention: after its COMMIT", ...sql(WRITER, RELAXED, "before", some(1, 20)) },
    {
      name: "reload: a subscription comes",
      reload: true,
      ...sql(WRITER, `${ADDED}|${RETIRED}`, "after", 1, true),
    },
    {
      name: "reload: before its COMMIT",
      reload: true,
      ...sql(WRITER, "^COMMIT", "before", some(1, 6), true),
    },
    {
      name: "migration: a step",
      migration: true,
      ...(chance(2) === 0
        ? sql(WRITER, STEP_BEGINS, "after", 1)
        : sql(WRITER, "^COMMIT", chance(2) === 0 ? "before" : "after", 1)),
    },
    { name: "reload: after its COMMIT", reload: true, ...sql(WRITER, "^COMMIT", "after", some(1, 6), true) },
  ];
}

/**
 * In which order so many kills meet the moments: by chance, all once before one comes twice, and in each round first one
 * of each kind (what stands before the colon), so that few kills meet all kinds too.
 */
export function meetingOrder(
  names: readonly string[],
  kills: number,
  chance: (below: number) => number,
): string[] {
  const order: string[] = [];
  while (order.length < kills) {
    const left = [...names];
    const drawn: string[] = [];
    while (left.length > 0) drawn.push(...left.splice(chance(left.length), 1));
    const kind = (name: string) => name.slice(0, name.indexOf(":"));
    const first = drawn.filter((name, at) => drawn.findIndex((other) => kind(other) === kind(name)) === at);
    order.push(...first, ...drawn.filter((name) => !first.includes(name)));
  }
  return order.slice(0, kills);
}
