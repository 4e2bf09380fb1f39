/** Topic names and topic filters (MQTT 5, 4.7; the same in 3.1.1): what may be said at all, before a broker is asked. */

/** UTF-8 strings of MQTT have their length in 16 bits. */
const MOST_BYTES = 0xffff;

/** What is wrong with a name to publish to, for people; null when nothing is. */
export function topicProblem(topic: string): string | null {
  if (topic === "") return "is empty";
  if (/[+#]/.test(topic)) return "holds + or #, which only a filter may";
  return textProblem(topic);
}

/** What is wrong with a filter to subscribe to, for people; null when nothing is. */
export function filterProblem(written: string): string | null {
  const shared = sharedFilter(written);
  if (written.startsWith("$share/") && shared === null) return "is no $share/<group>/<filter>";
  const filter = shared ?? written;
  if (filter === "") return "is empty";
  const levels = filter.split("/");
  const hash = levels.findIndex((level) => level.includes("#"));
  if (hash !== -1 && (hash !== levels.length - 1 || levels[hash] !== "#")) {
    return "has a # that isn't its whole last level";
  }
  if (levels.some((level) => level.includes("+") && level !== "+")) return "has a + that isn't a whole level";
  return textProblem(written);
}

/** Whether messages to `topic` come by this filter. What begins with `$` is matched by no wildcard in the first level. */
export function filterMatches(written: string, topic: string): boolean {
  const filter = sharedFilter(written) ?? written;
  if (topic.startsWith("$") && /^[+#]/.test(filter)) return false;
  const [wanted, levels] = [filter.split("/"), topic.split("/")];
  for (const [at, level] of wanted.entries()) {
    // `a/#` takes `a` itself too.
    if (level === "#") return true;
    if (at >= levels.length || (level !== "+" && level !== levels[at])) return false;
  }
  // Without a `#` they are as long as each other.
  return wanted.length === levels.length;
}

/** The filter within `$share/<group>/<filter>`; null for one that isn't shared. */
function sharedFilter(written: string): string | null {
  return /^\$share\/[^/+#]+\/([\s\S]+)$/.exec(written)?.[1] ?? null;
}

function textProblem(text: string): string | null {
  if (text.includes("\0")) return "holds a NUL";
  if (!text.isWellFormed()) return "is no text that UTF-8 can carry";
  return Buffer.byteLength(text) > MOST_BYTES ? `is longer than ${MOST_BYTES} bytes` : null;
}
