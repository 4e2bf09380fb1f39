/** MQTT packets as bytes, and a reader whose library only keeps what it is given. */
import { Writable } from "node:stream";
import type { IPublishPacket } from "mqtt";
import { PublishReader } from "../../../src/brokers/mqtt/publish-reader.ts";

/** First byte, and how long what follows is (MQTT 5: 2.1.4), and that. */
export function packet(first: number, rest: Uint8Array): Buffer {
  const length: number[] = [];
  let left = rest.length;
  do {
    const low = left % 128;
    left = Math.floor(left / 128);
    length.push(left > 0 ? low | 0x80 : low);
  } while (left > 0);
  return Buffer.concat([Buffer.from([first, ...length]), rest]);
}

export type Publish = Pick<IPublishPacket, "topic" | "qos" | "dup" | "retain" | "messageId"> & {
  readonly payload: Uint8Array | string;
};

/** `properties`: behind their length, which is less than 128; null: version 3.1.1, which has none. */
export function publish(
  { topic, payload, qos, dup, retain, messageId = 0 }: Publish,
  properties: Uint8Array | null = new Uint8Array(),
): Buffer {
  const name = Buffer.from(topic);
  return packet(
    0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0),
    Buffer.concat([
      Buffer.from([name.length >> 8, name.length & 255]),
      name,
      Buffer.from(qos === 0 ? [] : [messageId >> 8, messageId & 255]),
      properties === null ? Buffer.alloc(0) : Buffer.from([properties.length, ...properties]),
      Buffer.from(payload as Uint8Array),
    ]),
  );
}

export interface Read {
  /** What was ours, in order, and how much the library had been given before it. */
  readonly ours: readonly { readonly packet: IPublishPacket; readonly after: number }[];
  readonly theirs: Buffer;
  /** At most so many packets and pieces were being dealt with at a time. */
  readonly atOnce: number;
}

/** Resolves when all `chunks` are read. `late`: of which packets `next` is called in a later turn. */
export async function readAll(
  chunks: readonly Uint8Array[],
  version: 5 | "3.1.1",
  late: (nth: number) => boolean = () => false,
): Promise<Read> {
  const ours: { packet: IPublishPacket; after: number }[] = [];
  const theirs: Buffer[] = [];
  let [length, now, atOnce] = [0, 0, 0];
  const begin = () => {
    atOnce = Math.max(atOnce, ++now);
  };
  const library = new Writable({
    write(chunk: Buffer, _encoding, done) {
      begin();
      theirs.push(chunk);
      length += chunk.length;
      setImmediate(() => {
        now--;
        done();
      });
    },
  });
  const reader = new PublishReader(library, version, (packet, next) => {
    begin();
    ours.push({ packet, after: length });
    const dealtWith = () => {
      now--;
      next();
    };
    if (late(ours.length - 1)) setImmediate(dealtWith);
    else dealtWith();
  });
  for (const chunk of chunks) reader.write(chunk);
  await new Promise<void>((resolve, reject) => reader.on("error", reject).end(resolve));
  return { ours, theirs: Buffer.concat(theirs), atOnce };
}
