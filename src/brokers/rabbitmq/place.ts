/** Where a sink publishes, in words that a source can compare with what it consumes: for `leat validate`. */
import type { RabbitmqConnectionConfig } from "./connection.ts";
import { parseAddress } from "./url.ts";

export interface Place {
  /** `host:port/vhost`, of each node that is named. */
  readonly nodes: readonly string[];
  readonly exchange: string;
  readonly routingKey: string;
}

const FAMILY = "rabbitmq ";

export function writtenPlace(config: RabbitmqConnectionConfig, exchange: string, routingKey: string): string {
  return FAMILY + JSON.stringify({ nodes: nodesOf(config), exchange, routingKey } satisfies Place);
}

/** Null for a place of another family. */
export function readPlace(written: string): Place | null {
  return written.startsWith(FAMILY) ? (JSON.parse(written.slice(FAMILY.length)) as Place) : null;
}

export function nodesOf({ url, vhost }: RabbitmqConnectionConfig): string[] {
  return url.map((written) => {
    const address = parseAddress(written);
    return `${address.hostname}:${address.port}/${vhost ?? address.vhost ?? "/"}`;
  });
}

/** Whether a routing key fits a topic exchange's pattern: `*` is one word, `#` any number of them. */
export function topicMatches(pattern: string, routingKey: string): boolean {
  const words = routingKey.split(".");
  // How many words the pattern's parts so far may have taken: all that are possible at once, for trying one after the
  // other takes ever longer with each `#`.
  let taken: boolean[] = [true, ...words.map(() => false)];
  for (const part of pattern.split(".")) {
    const after = taken.map(() => false);
    for (let at = 0; at <= words.length; at++) {
      if (part === "#") after[at] = taken[at] === true || after[at - 1] === true;
      else after[at] = taken[at - 1] === true && (part === "*" || part === words[at - 1]);
    }
    taken = after;
  }
  return taken[words.length] === true;
}
