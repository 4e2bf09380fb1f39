/** Reading an event stream by the letter of WHATWG HTML, section 9.2.6, for where the browser's own can't be used. */

export interface Block {
  /** Undefined: the block names no event. */
  readonly event: string;
  /** Undefined: it has none, and so only moves the id. */
  readonly data: string | undefined;
  /** Undefined: the block has none of its own. */
  readonly id: string | undefined;
}

/** No line of a server of ours is near it; without a bound one without an end would fill the memory. */
const MAX_LINE = 64 * 1024 * 1024;

export class SseParser {
  /** What the stream said last, in ms. */
  retry: number | undefined;
  readonly #give: (block: Block) => void;
  #rest = "";
  #data: string[] = [];
  #event = "";
  #id: string | undefined;

  constructor(give: (block: Block) => void) {
    this.#give = give;
  }

  /** The decoder has taken the BOM off. RangeError: a line that doesn't end. */
  push(text: string): void {
    // Most of a long line comes without an end; to look through all of it each time would take its square.
    if (!/[\r\n]/.test(text) && !this.#rest.endsWith("\r")) this.#rest += text;
    else {
      // A CR at the end of what has come may be the first half of CRLF.
      const lines = (this.#rest + text).split(/\r\n|\r(?!$)|\n/);
      this.#rest = lines.pop() as string;
      for (const line of lines) this.#line(line);
    }
    if (this.#rest.length > MAX_LINE) throw new RangeError("a line of the stream doesn't end");
  }

  #line(line: string): void {
    if (line === "") {
      this.#end();
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }

  #end(): void {
    const data = this.#data.length > 0 ? this.#data.join("\n") : undefined;
    const block = { event: this.#event, data, id: this.#id };
    this.#data = [];
    this.#event = "";
    this.#id = undefined;
    if (data !== undefined || block.id !== undefined) this.#give(block);
  }
}
