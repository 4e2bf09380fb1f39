/**
 * Reads /metrics fifty times a second on the processor that the daemon needs too: over connections that stay, and what a
 * line means is found out once, by the strict reading of metrics-text.ts, and known by the line's head from then on.
 */
import assert from "node:assert/strict";
import { Pool } from "undici";
import { parseMetrics } from "../metrics-text.ts";

/** What one sample counts for. */
export interface Series {
  readonly name: string;
  /** Grows and never goes back while the process lives: a counter, or a histogram's buckets and count. */
  readonly grows: boolean;
  /** A part of J3's identity: of which account (its prefix, route and sink), and on which side of it. */
  readonly account: { readonly name: string; readonly side: "accepted" | "state" } | null;
}

export interface Scrape {
  /** By the line's head: name and labels as they are written. */
  readonly values: ReadonlyMap<string, number>;
  series(head: string): Series;
}

export interface MetricsReader {
  /** Rejects with `Unanswered` where nobody was there to answer, or to end the answer. */
  scrape(): Promise<Scrape>;
  /** Ends what is under way. */
  close(): Promise<void>;
}

export class Unanswered extends Error {}

const ACCOUNT = /^(leat_(?:replays_)?)(accepted_total|settled_total|unsettled)$/;

/** `admin` is the admin listener's URL; up to `atOnce` scrapes may be under way. */
export function makeMetricsReader(admin: string, atOnce: number): MetricsReader {
  const pool = new Pool(admin, { connections: atOnce, pipelining: 1 });
  const known = new Map<string, Series>();
  /** Lines of comment, which say the same each time. */
  const comments = new Set<string>();
  const types = new Map<string, string>();

  const learnComment = (line: string) => {
    for (const [name, type] of parseMetrics(`${line}\n`).types) types.set(name, type);
    comments.add(line);
  };
  const learn = (head: string): Series => {
    const [sample] = parseMetrics(`${head} 0\n`).samples;
    assert.ok(sample !== undefined, head);
    const { name, labels } = sample;
    const [, prefix, part] = ACCOUNT.exec(name) ?? [];
    const series: Series = {
      name,
      grows: growing(name, types),
      account:
        part === undefined
          ? null
          : {
              name: `${prefix} ${labels.route} → ${labels.sink}`,
              side: part === "accepted_total" ? "accepted" : "state",
            },
    };
    known.set(head, series);
    return series;
  };
  const series = (head: string) => known.get(head) ?? learn(head);

  return {
    async scrape() {
      const text = await get(pool);
      assert.ok(text.endsWith("\n"), "the text doesn't end with a line's end");
      const values = new Map<string, number>();
      for (const line of text.split("\n")) {
        if (line === "" || comments.has(line)) continue;
        if (line.startsWith("#")) {
          learnComment(line);
          continue;
        }
        const space = line.lastIndexOf(" ");
        const [head, value] = [line.slice(0, space), line.slice(space + 1)];
        assert.ok(!values.has(head), `${head} is there twice`);
        // Learns it, where it is new.
        series(head);
        values.set(head, value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value));
      }
      return { values, series };
    },
    close: () => pool.destroy(),
  };
}

async function get(pool: Pool): Promise<string> {
  let answer: { type: unknown; text: string };
  try {
    const { headers, body } = await pool.request({ path: "/metrics", method: "GET" });
    answer = { type: headers["content-type"], text: await body.text() };
  } catch (cause) {
    throw new Unanswered("nobody answered", { cause });
  }
  assert.match(String(answer.type), /^text\/plain; version=0\.0\.4/, answer.text.slice(0, 200));
  return answer.text;
}

function growing(name: string, types: ReadonlyMap<string, string>): boolean {
  if (types.get(name) === "counter") return true;
  const histogram = /^(.*)_(?:bucket|count)$/.exec(name)?.[1];
  return histogram !== undefined && types.get(histogram) === "histogram";
}
