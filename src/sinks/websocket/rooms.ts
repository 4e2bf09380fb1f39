/** Who is on a channel now, for what goes round the journal: ephemeral messages and presence. */
import { compilePattern, literalName } from "../../pattern.ts";

export class Rooms<T> {
  readonly #byName = new Map<string, Set<T>>();
  readonly #byPattern = new Map<
    string,
    { readonly matches: (channel: string) => boolean; readonly in: Set<T> }
  >();

  /** `name`: as it was subscribed to, a name or a pattern. */
  enter(name: string, one: T): void {
    const channel = literalName(name);
    if (channel === null) {
      const room = this.#byPattern.get(name);
      if (room) room.in.add(one);
      else this.#byPattern.set(name, { matches: compilePattern(name), in: new Set([one]) });
      return;
    }
    const room = this.#byName.get(channel);
    if (room) room.add(one);
    else this.#byName.set(channel, new Set([one]));
  }

  /** False: it wasn't there. */
  leave(name: string, one: T): boolean {
    const channel = literalName(name);
    const room = channel === null ? this.#byPattern.get(name)?.in : this.#byName.get(channel);
    if (!room?.delete(one)) return false;
    if (room.size > 0) return true;
    if (channel === null) this.#byPattern.delete(name);
    else this.#byName.delete(channel);
    return true;
  }

  /** Each once, by whichever names. */
  on(channel: string): ReadonlySet<T> {
    const named = this.#byName.get(channel);
    let all: Set<T> | null = null;
    for (const room of this.#byPattern.values()) {
      if (!room.matches(channel)) continue;
      all ??= new Set(named);
      for (const one of room.in) all.add(one);
    }
    return all ?? named ?? NOBODY;
  }
}

const NOBODY: ReadonlySet<never> = new Set();
