/**
 * A reader of event streams by the letter of WHATWG HTML, section 9.2.6, written apart from the encoder so that tests
 * hold one against the other.
 */
export interface ParsedEvent {
  readonly type: string;
  readonly data: string;
  readonly lastEventId: string;
}

export class SseParser {
  readonly events: ParsedEvent[] = [];
  /** What a reconnecting EventSource would send. */
  lastEventId = "";
  retry: number | null = null;
  comments = 0;
  #decoder = new TextDecoder("utf-8");
  #rest = "";
  #data = "";
  #type = "";
  #idBuffer = "";

  push(bytes: Uint8Array): void {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    for (;;) {
      const end = /\r\n|\r(?!$)|\n/.exec(this.#rest);
      if (!end) return;
      const line = this.#rest.slice(0, end.index);
      this.#rest = this.#rest.slice(end.index + end[0].length);
      this.#line(line);
    }
  }

  /** The end of a stream: a last CR ends its line, an event that no blank line ended is dropped. */
  end(): void {
    if (this.#rest.endsWith("\r")) this.#line(this.#rest.slice(0, -1));
    this.#rest = "";
    this.#data = "";
    this.#type = "";
  }

  #line(line: string): void {
    if (line === "") {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) {
      this.comments++;
      return;
    }
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#type = value;
    else if (name === "data") this.#data += `${value}\n`;
    else if (name === "id" && !value.includes("\0")) this.#idBuffer = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.retry = Number(value);
  }

  #dispatch(): void {
    this.lastEventId = this.#idBuffer;
    if (this.#data !== "") {
      this.events.push({
        type: this.#type || "message",
        data: this.#data.slice(0, -1),
        lastEventId: this.lastEventId,
      });
    }
    this.#data = "";
    this.#type = "";
  }
}

export function parse(text: string | Uint8Array): SseParser {
  const parser = new SseParser();
  parser.push(typeof text === "string" ? Buffer.from(text) : text);
  parser.end();
  return parser;
}
