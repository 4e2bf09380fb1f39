/**
 * The projections' thread: `streams.db`, its writes and its reads, away from the group commit and from the main thread.
 * A shell around `StreamRows`: one request, one answer, in order. A file that can't be used is set aside and made anew
 * (it is a projection); the answer then says `reset`.
 */
import { renameSync, rmSync } from "node:fs";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { ChannelSelection } from "../../component.ts";
import { LeatError } from "../../errors.ts";
import type { Seq } from "../../event.ts";
import type { StreamPlace } from "../journal.ts";
import { isSuspect, openStorage, type Storage, storageFailure } from "./storage.ts";
import { shortOf } from "./stream-place.ts";
import type { PackedPage } from "./stream-reads.ts";
import { type PackedWrite, StreamRows } from "./stream-rows.ts";

export interface ProjectionsData {
  readonly file: string;
}

export type ProjectionsRequest =
  /** `places`: what the streams had when an earlier thread ended. */
  | { readonly op: "open"; readonly places: ReadonlyMap<string, StreamPlace> }
  | { readonly op: "write"; readonly entries: readonly PackedWrite[]; readonly bytes: Uint8Array }
  | {
      readonly op: "read";
      readonly stream: string;
      readonly after: Seq;
      readonly wants: ChannelSelection;
      readonly limit: number;
    }
  | { readonly op: "seqAt"; readonly stream: string; readonly time: number }
  | { readonly op: "cutOff"; readonly stream: string; readonly time: number }
  | { readonly op: "trim"; readonly stream: string; readonly max: number }
  /** The file is none of this journal's: it is put aside, and an empty one made. */
  | { readonly op: "renounce" }
  /** For tests of a full disk. */
  | { readonly op: "maxPages"; readonly pages: number }
  | { readonly op: "close" };

export interface ProjectionsResults {
  readonly open: ReadonlyMap<string, StreamPlace>;
  readonly write: null;
  readonly read: PackedPage;
  readonly seqAt: Seq;
  readonly cutOff: StreamPlace | null;
  readonly trim: number;
  readonly renounce: null;
  readonly maxPages: null;
  readonly close: null;
}

/**
 * - `full`: nothing is lost, try again when there is room.
 * - `reset`: the file was set aside, or lacks what it had; `places` is what it can answer for now.
 * - `unusable`: the file can't be opened, or none be made now; the next request tries again.
 * - `internal`: a defect.
 */
export type ProjectionsFailure =
  | { readonly failure: "full" | "unusable" | "internal"; readonly message: string }
  | {
      readonly failure: "reset";
      readonly message: string;
      readonly places: ReadonlyMap<string, StreamPlace>;
    };

export type ProjectionsAnswer = { readonly number: number } & (
  | { readonly ok: true; readonly value: ProjectionsResults[keyof ProjectionsResults] }
  | ({ readonly ok: false } & ProjectionsFailure)
);

/** The file, as the thread has it. */
export interface ProjectionsFile {
  open(): Storage;
  /** Puts the unusable file aside for a look, so that `open` makes a new one; an earlier one makes room for it. */
  setAside(): void;
}

/** What the thread does; the simulation runs it inline. */
export class Projections {
  readonly #file: ProjectionsFile;
  #rows: StreamRows | null = null;
  /** What the streams had when the file was last known good: readers from before must wait for it. */
  #places: ReadonlyMap<string, StreamPlace> = new Map();

  constructor(file: ProjectionsFile) {
    this.#file = file;
  }

  answer(number: number, request: ProjectionsRequest): ProjectionsAnswer {
    try {
      return { number, ok: true, value: this.#handle(request) };
    } catch (error) {
      return { number, ok: false, ...this.#recover(error) };
    }
  }

  #handle(request: ProjectionsRequest): ProjectionsResults[keyof ProjectionsResults] {
    if (request.op === "close") return this.#close();
    if (request.op === "open" && this.#rows === null) this.#places = request.places;
    const rows = this.#rows ?? this.#openAgain();
    switch (request.op) {
      case "open":
        return rows.places();
      case "write":
        rows.write(request.entries, request.bytes);
        return null;
      case "read":
        return rows.read(request.stream, request.after, request.wants, request.limit);
      case "seqAt":
        return rows.seqAt(request.stream, request.time);
      case "cutOff":
        return rows.cutOff(request.stream, request.time);
      case "trim":
        return rows.trim(request.stream, request.max);
      case "renounce":
        this.#renounce();
        return null;
      case "maxPages":
        rows.limitPages(request.pages);
        return null;
    }
  }

  /** What a failed request means, and what was done about it. */
  #recover(error: unknown): ProjectionsFailure {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof Short && this.#rows !== null) {
      return { failure: "reset", message, places: this.#rows.places() };
    }
    const failure = storageFailure(error);
    if (failure === "full") return { failure: "full", message };
    if (failure === null && !isUseless(error)) return { failure: "internal", message };
    if (failure !== null && !isSuspect(error)) {
      this.#leave();
      return { failure: "unusable", message };
    }
    try {
      this.#setAside();
      return { failure: "reset", message, places: this.#places };
    } catch (again) {
      this.#rows = null;
      return { failure: "unusable", message: again instanceof Error ? again.message : message };
    }
  }

  /** Throws `Short` where the file lacks what was known of it: who asked has to know that first. */
  #openAgain(): StreamRows {
    const { rows, short } = this.#open();
    this.#rows = rows;
    if (short) throw new Short();
    return rows;
  }

  /** `short`: the file can't answer for all that is known to have been there. That is missing in it from now on. */
  #open(): { rows: StreamRows; short: boolean } {
    const storage = this.#file.open();
    try {
      const rows = new StreamRows(storage);
      const missing = shortOf(rows.places(), this.#places);
      if (missing.size > 0) rows.restore(missing);
      return { rows, short: missing.size > 0 };
    } catch (error) {
      storage.close();
      throw error;
    }
  }

  /** The file stays as it is, and is opened again by the next request. */
  #leave(): void {
    if (this.#rows) this.#places = this.#rows.places();
    try {
      this.#close();
    } catch {
      // It couldn't be used; what was committed is in it.
    }
  }

  /** If no new file can be made now, the next request does it, since what was there is known. */
  #setAside(): void {
    if (this.#rows) this.#places = this.#rows.places();
    this.#close();
    this.#file.setAside();
    this.#rows = this.#open().rows;
    this.#places = this.#rows.places();
  }

  #renounce(): void {
    this.#close();
    this.#file.setAside();
    this.#places = new Map();
    this.#rows = this.#open().rows;
  }

  #close(): null {
    try {
      this.#rows?.close();
    } finally {
      this.#rows = null;
    }
    return null;
  }
}

class Short extends Error {
  constructor() {
    super("it lacks what it had");
  }
}

/** The file is of another version, or a frame in it is not as it was written. */
function isUseless(error: unknown): boolean {
  return error instanceof LeatError && error.kind === "damaged";
}

function fileOf({ file }: ProjectionsData): ProjectionsFile {
  return {
    open: () => openStorage({ file }),
    setAside() {
      for (const suffix of ["-wal", "-shm"]) rmSync(`${file}${suffix}`, { force: true });
      try {
        renameSync(file, `${file}.damaged`);
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
      }
    },
  };
}

function serve(port: MessagePort, data: ProjectionsData): void {
  const projections = new Projections(fileOf(data));
  port.on("message", ({ number, request }: { number: number; request: ProjectionsRequest }) => {
    const answer = projections.answer(number, request);
    // A page's bodies move to the main thread instead of being copied.
    const page = answer.ok && request.op === "read" ? (answer.value as PackedPage) : null;
    port.postMessage(answer, page && page.bytes.byteLength > 0 ? [page.bytes.buffer] : []);
    if (request.op === "close") port.close();
  });
}

if (parentPort) serve(parentPort, workerData as ProjectionsData);
