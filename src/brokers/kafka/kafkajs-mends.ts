/**
 * Where kafkajs 2.2.4 (the last there is; pinned) has to be mended from within. Each mend has its contract test, so that
 * another version, or another load order, can't undo one unseen:
 *
 * - Fetch responses are read by us, as far as the frames of their batches (`record-batch.ts` says why). What kafkajs takes
 *   for a message is a whole `RecordBatch`, under `batch`; its `offset` is the batch's last. Transactions that were
 *   rolled back are marked by us, since kafkajs' filter forgets all but one of those that began before the fetch.
 * - A connection that was cut in the midst of a response keeps its beginning, and takes the next connection's first bytes
 *   for the rest: nothing is understood any more, or a RangeError out of a socket's event ends the process. One that is
 *   cut in the midst of its SASL handshake waits for ever.
 * - A broker is asked for what comes next while what it has given is being taken (`read-ahead.ts`).
 * - The request queue sets a timer for a time in the past at each response, of which Node warns (tulios/kafkajs#1751).
 */
import { createRequire } from "node:module";
import { type FetchAnswer, type FetchRequest, ReadAhead } from "./read-ahead.ts";
import { type AbortedTransaction, magicAt, type RecordBatch, readBatches } from "./record-batch.ts";
import type { KafkaRecord } from "./records.ts";
import { registerCodecs } from "./unpack.ts";

/** What kafkajs hands to `eachBatch` as a message. */
export interface BatchMessage {
  readonly offset: string;
  readonly isControlRecord: false;
  readonly batch: RecordBatch;
}

const require = createRequire(import.meta.url);

interface Decoder {
  readonly buffer: Buffer;
  offset: number;
  readInt16(): number;
  readInt32(): number;
  readInt64(): bigint;
  readString(): string;
  readArray<T>(read: (decoder: Decoder) => T): T[];
  readArrayAsync<T>(read: (decoder: Decoder) => Promise<T>): Promise<T[]>;
}

interface FetchApi {
  protocol(which: { version: number }): (request: object) => {
    request: object;
    response: { decode(raw: Buffer): Promise<unknown>; parse(data: unknown): Promise<unknown> };
  };
}

interface Connection {
  socket?: { destroy(error?: Error): void };
  chunks: Buffer[];
  bytesBuffered: number;
  bytesNeeded: number;
  authHandlers: { onError(): void } | null;
  isConnected(): boolean;
  connect(): Promise<unknown>;
  processData(data: Buffer): void;
  rejectRequests(error: Error): void;
}

interface RequestQueue {
  pending: unknown[];
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
}

/** A message set as kafkajs reads it. */
interface OldMessage {
  readonly offset: string;
  readonly timestamp?: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

type ReadMessageSet = (decoder: Decoder, size: number) => Promise<OldMessage[]>;

let mended = false;

/** To be called before the first client is made. */
export function mendKafkajs(): void {
  if (mended) return;
  mended = true;
  registerCodecs();
  mendConnection();
  mendRequestQueue();
  mendFetch();
  mendBroker();
}

/** Each response begins with its length. */
const LENGTH_BYTES = 4;

function mendConnection(): void {
  const { prototype }: { prototype: Connection } = require("kafkajs/src/network/connection");
  const { connect, processData, rejectRequests } = prototype;
  prototype.connect = function begin(this: Connection) {
    if (!this.isConnected()) {
      // What kafkajs has given up it has only half closed, and would still listen to.
      this.socket?.destroy();
      this.chunks = [];
      this.bytesBuffered = 0;
      this.bytesNeeded = LENGTH_BYTES;
    }
    return connect.call(this);
  };
  prototype.processData = function read(this: Connection, data) {
    try {
      processData.call(this, data);
    } catch (error) {
      // Whoever speaks no Kafka; it is over for this connection, not for the process.
      this.socket?.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  };
  prototype.rejectRequests = function reject(this: Connection, error) {
    rejectRequests.call(this, error);
    this.authHandlers?.onError();
  };
}

function mendRequestQueue(): void {
  const queue: { prototype: RequestQueue } = require("kafkajs/src/network/requestQueue");
  queue.prototype.scheduleCheckPendingRequests = function schedule(this: RequestQueue) {
    if (this.pending.length === 0 || this.throttleCheckTimeoutId !== null) return;
    const waitMs = Math.max(AGAIN_MS, this.throttledUntil - Date.now());
    this.throttleCheckTimeoutId = setTimeout(() => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    }, waitMs);
  };
}

/** As kafkajs has it: what waits for room is looked at again after so long, in ms. */
const AGAIN_MS = 10;

function mendFetch(): void {
  const api: FetchApi = require("kafkajs/src/protocol/requests/fetch");
  const original = api.protocol;
  api.protocol = (which) => {
    const make = original(which);
    // Earlier versions know no record batches; brokers that speak no later one are older than Kafka 0.11.
    if (which.version < 4) return make;
    return (request) => {
      const made = make(request);
      const { parse } = made.response;
      return { ...made, response: { decode: (raw) => decodeFetch(raw, which.version), parse } };
    };
  };
}

interface Broker {
  fetch(request: FetchRequest): Promise<FetchAnswer>;
}

/** One of these is one broker of one client. */
function mendBroker(): void {
  const { prototype }: { prototype: Broker } = require("kafkajs/src/broker");
  const { fetch } = prototype;
  const all = new WeakMap<Broker, ReadAhead<FetchRequest, FetchAnswer>>();
  prototype.fetch = function readAhead(this: Broker, request) {
    let ahead = all.get(this);
    if (ahead === undefined) all.set(this, (ahead = new ReadAhead()));
    return ahead.fetch(request, (asked) => fetch.call(this, asked));
  };
}

/** A Fetch response, versions 4 to 11: kafkajs asks for no later one. */
async function decodeFetch(raw: Buffer, version: number): Promise<unknown> {
  const decoder = decoderOf(raw);
  const throttled = decoder.readInt32();
  const session = version >= 7 ? { errorCode: decoder.readInt16(), sessionId: decoder.readInt32() } : {};
  const responses = await decoder.readArrayAsync(async () => ({
    topicName: decoder.readString(),
    partitions: await decoder.readArrayAsync(() => readPartition(decoder, version)),
  }));
  // From version 8 on the client is to hold itself back (KIP-219); before, the broker had done so.
  const throttle =
    version >= 8 ? { throttleTime: 0, clientSideThrottleTime: throttled } : { throttleTime: throttled };
  return { ...throttle, ...session, responses };
}

async function readPartition(decoder: Decoder, version: number): Promise<object> {
  const partition = decoder.readInt32();
  const errorCode = decoder.readInt16();
  const highWatermark = decoder.readInt64().toString();
  const lastStableOffset = decoder.readInt64().toString();
  if (version >= 5) decoder.readInt64(); // the log's start
  const aborted = decoder.readArray(
    (entry): AbortedTransaction => ({ producerId: entry.readInt64(), firstOffset: entry.readInt64() }),
  );
  const preferredReadReplica = version >= 11 ? { preferredReadReplica: decoder.readInt32() } : {};
  const size = Math.max(0, decoder.readInt32());
  const set = decoder.buffer.subarray(decoder.offset, decoder.offset + size);
  decoder.offset += size;
  const messages = (await batchesOf(set, aborted)).map(
    (batch): BatchMessage => ({ offset: String(batch.last), isControlRecord: false, batch }),
  );
  return { partition, errorCode, highWatermark, lastStableOffset, ...preferredReadReplica, messages };
}

function decoderOf(bytes: Buffer): Decoder {
  const DecoderClass: new (buffer: Buffer) => Decoder = require("kafkajs/src/protocol/decoder");
  return new DecoderClass(bytes);
}

/** What an old message set begins with at the least, up to its magic byte. */
const OLD_HEAD_BYTES = 17;

async function batchesOf(set: Buffer, aborted: readonly AbortedTransaction[]): Promise<RecordBatch[]> {
  const { batches, rest } = readBatches(set, aborted);
  if (set.length - rest < OLD_HEAD_BYTES || magicAt(set, rest) === 2) return batches;
  // A log that was begun before Kafka 0.11 holds these first; the batches behind them come with the next fetch.
  const readMessageSet: ReadMessageSet = require("kafkajs/src/protocol/messageSet/decoder");
  const old = await readMessageSet(decoderOf(set.subarray(rest)), set.length - rest);
  return [...batches, ...old.map(asBatch)];
}

function asBatch({ offset, timestamp, key, value }: OldMessage): RecordBatch {
  const place = Number(offset);
  const time = Number(timestamp ?? -1);
  const record: KafkaRecord = { offset: place, timestamp: time, key, value, cutFrom: null, headers: [] };
  return {
    base: place,
    last: place,
    codec: "none",
    count: 1,
    records: Buffer.alloc(0),
    firstTimestamp: record.timestamp,
    appendTimestamp: null,
    skipped: false,
    read: [record],
  };
}
