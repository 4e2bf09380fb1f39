/** What the main thread asks of the writer beside groups, by number, until its answer comes: commands and pings. */
import { LeatError } from "../../errors.ts";
import type { Command } from "./group.ts";
import type { PlainError, ToWriter } from "./writer-messages.ts";

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class WriterQuestions {
  readonly #post: (message: ToWriter) => void;
  readonly #commands = new Map<number, Waiting>();
  readonly #pings = new Map<number, () => void>();
  #number = 0;

  constructor(post: (message: ToWriter) => void) {
    this.#post = post;
  }

  /** No command waits for its answer. */
  get idle(): boolean {
    return this.#commands.size === 0;
  }

  /** `apply` is called with the value as soon as it comes, before whoever waits for the promise. */
  command(command: Command, apply?: (value: unknown) => void): Promise<unknown> {
    const number = ++this.#number;
    return new Promise((resolve, reject) => {
      const applied = (value: unknown) => {
        apply?.(value);
        resolve(value);
      };
      this.#commands.set(number, { resolve: applied, reject });
      this.#post({ kind: "command", number, command });
    });
  }

  ping(): Promise<void> {
    const number = ++this.#number;
    return new Promise((resolve) => {
      this.#pings.set(number, resolve);
      this.#post({ kind: "ping", number });
    });
  }

  pong(number: number): void {
    this.#pings.get(number)?.();
    this.#pings.delete(number);
  }

  done(number: number, value: unknown): void {
    this.#take(number)?.resolve(value);
  }

  failed(number: number, error: Error): void {
    this.#take(number)?.reject(error);
  }

  /** The writer answers nothing any more. Pings stay without an answer, which is what they ask for. */
  lose(error: Error): void {
    for (const { reject } of this.#commands.values()) reject(error);
    this.#commands.clear();
    this.#pings.clear();
  }

  #take(number: number): Waiting | undefined {
    const waiting = this.#commands.get(number);
    this.#commands.delete(number);
    return waiting;
  }
}

export function leatError({ kind, code, message, hint }: PlainError): LeatError {
  return new LeatError(kind, code, message, { hint });
}
