/**
 * What `journal.db` holds, and how an older file becomes a newer one. Everything that must agree after power loss is in
 * this one file: in WAL mode a commit over attached files is atomic per file only.
 *
 * No B-tree over random values stands in the commit path: every table that grows with events is ordered by `seq`.
 */
import { LeatError } from "../../errors.ts";
import type { Storage } from "./storage.ts";

/** Columns shared by `event` and `kept`. What is short comes first: a row's head is read without its body's pages. */
const EVENT_COLUMNS = `
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  source INTEGER NOT NULL,      -- source.id
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  subject TEXT,
  key TEXT,
  time INTEGER NOT NULL,        -- when it was accepted, wall clock, ms
  hops INTEGER NOT NULL,
  cause INTEGER,                -- the seq whose delivery this one answers
  total INTEGER NOT NULL,       -- bytes (eventBytes) of all events ever appended, this one included
  crc INTEGER NOT NULL,         -- CRC-32 of the row's content (event-row.ts)
  headers BLOB NOT NULL,
  body BLOB NOT NULL`;

const VERSION_1 = `
  -- Facts about the file: created, clean (0 while open), clock (JSON of clock-guard.ts).
  CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

  -- Names of sources, interned.
  CREATE TABLE source (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

  CREATE TABLE event (${EVENT_COLUMNS}) STRICT;

  -- Copies of events that dead letters refer to (theirs, and their causes), so that they outlive retention.
  CREATE TABLE kept (${EVENT_COLUMNS.replace(" AUTOINCREMENT", "")}) STRICT;

  -- Replies by the event they answer, until every subscription has settled the reply: retention keeps the cause so long.
  CREATE TABLE reply (seq INTEGER PRIMARY KEY, cause INTEGER NOT NULL) STRICT;
  CREATE INDEX reply_cause ON reply (cause);

  -- What a repeated (source, id) is told from. Looked up by the hash table in the writer, confirmed here.
  CREATE TABLE dedupe (
    seq INTEGER PRIMARY KEY,
    source INTEGER NOT NULL,
    id TEXT NOT NULL,
    time INTEGER NOT NULL,
    until INTEGER NOT NULL,     -- remembered until, wall clock, ms
    body_length INTEGER NOT NULL,
    body_crc INTEGER NOT NULL
  ) STRICT;

  -- One route's feed to one pushed sink, or a stream's from all its routes.
  CREATE TABLE subscription (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    definition TEXT NOT NULL,   -- JSON of SubscriptionDefinition
    active INTEGER NOT NULL,
    feeds TEXT NOT NULL,        -- JSON: per route its sources and from which seq on they count
    cursor INTEGER NOT NULL,    -- every owed event at or below it is settled or has a delivery row
    until INTEGER               -- of a removed one: it owes up to here
  ) STRICT;

  -- After an unclean stop: what was recorded before it was evaluated and not settled since, and how many times.
  CREATE TABLE suspicion (
    subscription INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (subscription, seq)
  ) STRICT, WITHOUT ROWID;

  -- J3, by route; the replay columns count replays apart. Each column is counted by itself, none is derived.
  CREATE TABLE account (
    subscription INTEGER NOT NULL,
    route TEXT NOT NULL,
    accepted INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,
    retrying INTEGER NOT NULL DEFAULT 0,
    filtered INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0,
    purged INTEGER NOT NULL DEFAULT 0,
    replay_accepted INTEGER NOT NULL DEFAULT 0,
    replay_pending INTEGER NOT NULL DEFAULT 0,
    replay_retrying INTEGER NOT NULL DEFAULT 0,
    replay_filtered INTEGER NOT NULL DEFAULT 0,
    replay_delivered INTEGER NOT NULL DEFAULT 0,
    replay_dead INTEGER NOT NULL DEFAULT 0,
    replay_expired INTEGER NOT NULL DEFAULT 0,
    replay_purged INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (subscription, route)
  ) STRICT, WITHOUT ROWID;

  -- Deliveries that the cursor has passed and that are not settled, and replays (DeliveryRow).
  CREATE TABLE delivery (
    subscription INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    replay INTEGER NOT NULL,
    state TEXT NOT NULL,
    key TEXT,
    attempts INTEGER NOT NULL,
    first_attempt_at INTEGER,
    due INTEGER,                -- wall clock, ms; loaded as min(due, now + delay)
    delay INTEGER,
    PRIMARY KEY (subscription, seq, replay)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX delivery_replay ON delivery (seq) WHERE replay > 0;

  -- seq first: retention takes attempts from the low end together with their events.
  CREATE TABLE attempt (
    seq INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    replay INTEGER NOT NULL,
    n INTEGER NOT NULL,
    at INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    status INTEGER,
    error TEXT,
    message TEXT,
    answer BLOB,
    PRIMARY KEY (seq, subscription, replay, n)
  ) STRICT, WITHOUT ROWID;

  -- Dead letters; their events (and causes) are in kept.
  CREATE TABLE dead (
    subscription INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    replay INTEGER NOT NULL,
    route TEXT NOT NULL,
    at INTEGER NOT NULL,
    error TEXT NOT NULL,
    message TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    cause INTEGER,
    holds TEXT,                 -- the key it keeps (on_dead: hold) until a person acts
    replays INTEGER NOT NULL DEFAULT 0, -- the number of its last replay
    PRIMARY KEY (subscription, seq, replay, route)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX dead_seq ON dead (seq);
  CREATE INDEX dead_cause ON dead (cause) WHERE cause IS NOT NULL;
  CREATE INDEX dead_at ON dead (at);
  CREATE INDEX dead_holds ON dead (subscription) WHERE holds IS NOT NULL;

  -- What a backlog's bound let go, as ranges of seqs.
  CREATE TABLE expiry (
    subscription INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (subscription, first)
  ) STRICT, WITHOUT ROWID;

  -- Durable state of whole sinks (SinkState): hold, pause, breaker.
  CREATE TABLE sink (name TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT, WITHOUT ROWID;

  -- What came and was not taken, within a bound.
  CREATE TABLE refusal (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    address TEXT NOT NULL,
    count INTEGER NOT NULL,
    detail TEXT NOT NULL,
    body BLOB
  ) STRICT;
`;

/** Each entry brings a file from its index to the next version. Only ever append to this list. */
const MIGRATIONS: readonly string[] = [VERSION_1];

/** Also what the folder's `VERSION` file says: it counts the layout of the whole folder. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/** Marks a SQLite file as ours ("leat"), for `file` and for people. */
const APPLICATION_ID = 0x6c656174;

/**
 * Brings the file to the present version, each step in a transaction of its own. A new file starts numbering events at
 * `now` in microseconds, so that a journal that was restored or made anew never uses a seq twice.
 * Throws LeatError `damaged` `journal_newer` for a file that a newer Leat has written.
 */
export function migrate(storage: Storage, now: number, migrations: readonly string[] = MIGRATIONS): void {
  const newest = migrations.length;
  const from = Number(storage.prepare("PRAGMA user_version").get()?.user_version ?? 0);
  if (from > newest) {
    throw new LeatError(
      "damaged",
      "journal_newer",
      `The journal has version ${from}; this Leat knows up to ${newest}.`,
      {
        hint: "Run the newer Leat that wrote it, or point journal.path at another folder.",
      },
    );
  }
  for (let version = from; version < newest; version++) {
    storage.begin();
    try {
      storage.exec(migrations[version]!);
      if (version === 0) start(storage, now);
      storage.exec(`PRAGMA user_version = ${version + 1}`);
      storage.commit();
    } catch (error) {
      storage.rollback();
      throw error;
    }
  }
}

function start(storage: Storage, now: number): void {
  storage.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  storage
    .prepare(
      "INSERT INTO meta (name, value) VALUES ('created', ?), ('clean', 1), ('mark', lower(hex(randomblob(4))))",
    )
    .run(now);
  storage
    .prepare("INSERT INTO sqlite_sequence (name, seq) VALUES ('event', ?)")
    .run(Math.max(0, Math.floor(now * 1000)));
}
