/** User properties: what MQTT can carry in one (5: 1.5.4, 1.5.7). */

const MOST_BYTES = 0xffff;

/** What is wrong with a user property, for people; null when nothing is. */
export function propertyProblem(name: string, value: string): string | null {
  if (name.includes("\0") || value.includes("\0")) return "holds a NUL, which MQTT can't carry";
  if (!name.isWellFormed() || !value.isWellFormed()) return "is no text that UTF-8 can carry";
  const most = Math.max(Buffer.byteLength(name), Buffer.byteLength(value));
  return most > MOST_BYTES ? `is longer than ${MOST_BYTES} bytes` : null;
}

/** Names in their order, each with one value or with several in theirs; as the library takes them. */
export type UserProperties = Record<string, string | string[]>;

export function collect(pairs: Iterable<readonly [name: string, value: string]>): UserProperties {
  // Without a prototype: a property may be called `__proto__`.
  const properties: UserProperties = Object.create(null) as UserProperties;
  for (const [name, value] of pairs) {
    const before = properties[name];
    if (before === undefined) properties[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else properties[name] = [before, value];
  }
  return properties;
}
