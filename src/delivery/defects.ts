/** Defects of our own code that deliveries meet: each kind is logged once, with its stack, for it may come with every event. */
import type { Logger } from "../ports.ts";

/** More kinds than this are one that looks different each time. */
const MOST_KINDS = 100;

export class Defects {
  readonly #log: Logger;
  readonly #told = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** `where` is what was at work, such as `sink billing`. */
  tell(where: string, err: unknown): void {
    const kind = `${where} ${kindOf(err)}`;
    if (this.#told.has(kind) || this.#told.size >= MOST_KINDS) return;
    this.#told.add(kind);
    this.#log.error({ err, where }, "a defect in Leat: its deliveries fail; it is told once");
  }
}

/** Of which class it is and where it was thrown: its message may differ from event to event. */
function kindOf(err: unknown): string {
  if (!(err instanceof Error)) return typeof err;
  const thrownAt = err.stack?.split("\n").find((line) => line.trimStart().startsWith("at "));
  return `${err.name} ${thrownAt ?? ""}`;
}
