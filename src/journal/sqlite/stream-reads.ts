/** Reading `streams.db` in pages: by channel, or by pattern, whole events only, and never past what is missing. */
import { crc32 } from "node:zlib";
import type { ChannelSelection, StreamFrame } from "../../component.ts";
import { LeatError } from "../../errors.ts";
import type { Seq } from "../../event.ts";
import { compilePattern } from "../../pattern.ts";
import type { StreamPlace } from "../journal.ts";
import type { Row, Statement } from "./storage.ts";
import { wholeUpTo } from "./stream-place.ts";
import type { PackedFrame } from "./stream-rows.ts";

/** One page of a read; the bodies lie one behind the other in `bytes`. */
export interface PackedPage {
  readonly frames: readonly (PackedFrame & { readonly seq: Seq })[];
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly through: Seq;
}

/** A page ends after so many bytes of bodies: what waits in memory for one slow reader. */
const PAGE_BYTES = 64 * 1024;

/** How many frames one page looks at when it reads by pattern. */
const SCAN_ROWS = 2000;

/** The stream that is read, and how far. */
interface Reach {
  readonly id: number;
  readonly after: Seq;
  readonly end: Seq;
}

interface Key {
  readonly seq: Seq;
  readonly row: number;
}

interface Found {
  readonly keys: readonly Key[];
  readonly through: Seq;
}

export class StreamReads {
  readonly #prepare: (sql: string) => Statement;

  constructor(prepare: (sql: string) => Statement) {
    this.#prepare = prepare;
  }

  /** As `StreamIndex.read`. */
  page(
    { id, place }: { readonly id: number; readonly place: StreamPlace },
    after: Seq,
    wants: ChannelSelection,
    limit: number,
  ): PackedPage {
    const end = wholeUpTo(place, after);
    if (end <= after) return { frames: [], bytes: new Uint8Array(0), through: after };
    const reach = { id, after, end };
    const found = wants.patterns.length > 0 ? this.#scan(reach, wants) : this.#seek(reach, wants, limit);
    return this.#load(found, limit);
  }

  /** Rows of exact channels, by the index over channels. */
  #seek({ id, after, end }: Reach, { exact }: ChannelSelection, limit: number): Found {
    const keys: Key[] = [];
    let through = end;
    const select = this.#prepare(
      `SELECT seq, n, rowid AS row FROM frame
       WHERE stream = ? AND channel = ? AND seq > ? AND seq <= ? ORDER BY seq, n LIMIT ?`,
    );
    const ordered: { key: Key; n: number }[] = [];
    for (const channel of new Set(exact)) {
      const rows = select.all(id, channel, after, end, limit + 1);
      // More may follow at the last seq.
      if (rows.length > limit) through = Math.min(through, Number(rows.at(-1)?.seq) - 1);
      for (const row of rows) ordered.push({ key: toKey(row), n: Number(row.n) });
    }
    ordered.sort((a, b) => a.key.seq - b.key.seq || a.n - b.n);
    const first = ordered[0]?.key.seq;
    // One event with more frames than fit: it is whole or not at all.
    if (first !== undefined && through < first)
      return this.#wholeSeq(id, first, (name) => exact.includes(name));
    for (const { key } of ordered) if (key.seq <= through) keys.push(key);
    return { keys, through };
  }

  /** Rows of channels that a pattern (or a name beside it) selects: looks at every frame, so many at a time. */
  #scan({ id, after, end }: Reach, { exact, patterns }: ChannelSelection): Found {
    const names = new Set(exact);
    const matchers = patterns.map((pattern) => compilePattern(pattern));
    const wanted = (channel: string) => names.has(channel) || matchers.some((matches) => matches(channel));
    const rows = this.#prepare(
      `SELECT seq, rowid AS row, channel FROM frame
       WHERE stream = ? AND seq > ? AND seq <= ? ORDER BY seq, n LIMIT ?`,
    ).all(id, after, end, SCAN_ROWS);
    let through = end;
    if (rows.length === SCAN_ROWS) {
      through = Number(rows.at(-1)?.seq) - 1;
      const first = Number(rows[0]?.seq);
      if (through < first) return this.#wholeSeq(id, first, wanted);
    }
    const keys = rows.filter((row) => Number(row.seq) <= through && wanted(String(row.channel))).map(toKey);
    return { keys, through };
  }

  #wholeSeq(stream: number, seq: Seq, wanted: (channel: string) => boolean): Found {
    const rows = this.#prepare(
      "SELECT seq, rowid AS row, channel FROM frame WHERE stream = ? AND seq = ? ORDER BY n",
    ).all(stream, seq);
    return { keys: rows.filter((row) => wanted(String(row.channel))).map(toKey), through: seq };
  }

  /** Loads whole seqs until `limit` frames or the page's bytes are reached; at least one. */
  #load(found: Found, limit: number): PackedPage {
    const select = this.#prepare("SELECT seq, channel, type, id, time, crc, body FROM frame WHERE rowid = ?");
    const rows: Content[] = [];
    let bytes = 0;
    let { through } = found;
    for (const [at, { seq, row }] of found.keys.entries()) {
      const previous = found.keys[at - 1]?.seq;
      const full = bytes >= PAGE_BYTES || at + framesOf(found.keys, at) > limit;
      if (previous !== undefined && seq !== previous && full) {
        through = previous;
        break;
      }
      const content = contentOf(select.get(row), seq);
      rows.push(content);
      bytes += content.body.byteLength;
    }
    return { ...pack(rows, bytes), through };
  }
}

function toKey(row: Row): Key {
  return { seq: Number(row.seq), row: Number(row.row) };
}

/** How many keys share the seq of the key at `from`, from there on. */
function framesOf(keys: readonly Key[], from: number): number {
  let to = from;
  while (keys[to]?.seq === keys[from]?.seq) to++;
  return to - from;
}

type Content = StreamFrame & { readonly seq: Seq };

/** CRC-32 over a frame, so that a flipped bit is found before a reader gets it. */
export function frameCrc({ seq, channel, type, id, time, body }: Content): number {
  return crc32(`${seq} ${time}\0${channel}\0${type}\0${id}`, crc32(body));
}

/** Throws for a row that is not as it was written, or not there though an index has it. */
function contentOf(row: Row | undefined, seq: Seq): Content {
  const content: Content = {
    seq: Number(row?.seq),
    channel: String(row?.channel),
    type: String(row?.type),
    id: String(row?.id),
    time: Number(row?.time),
    body: row?.body instanceof Uint8Array ? row.body : new Uint8Array(0),
  };
  if (content.seq === seq && frameCrc(content) === row?.crc) return content;
  throw new LeatError("damaged", "stream_index_damaged", `streams.db: a frame of ${seq} is damaged`);
}

function pack(contents: readonly Content[], size: number): Omit<PackedPage, "through"> {
  const bytes = new Uint8Array(size);
  let offset = 0;
  const frames = contents.map(({ body, ...rest }) => {
    bytes.set(body, offset);
    const frame = { ...rest, offset, length: body.byteLength };
    offset += body.byteLength;
    return frame;
  });
  return { frames, bytes };
}
