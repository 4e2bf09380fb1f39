/** AMQP frames by hand: what no client library writes, and a broker passes on all the same. */
import type { Socket } from "node:net";
import type { Channel, ChannelModel } from "amqplib";

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export const shortText = (text: string | Buffer): Buffer => {
  const bytes = Buffer.from(text as string);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
};

/** One field of a table: its value begins with the type's letter. */
export const field = (name: string, type: string, value: Buffer): Buffer =>
  Buffer.concat([shortText(name), Buffer.from(type), value]);

export const longText = (bytes: Buffer): Buffer => Buffer.concat([u32(bytes.length), bytes]);

/** A table with these fields; also the value of a field of type F. */
export const table = (...fields: Buffer[]): Buffer => longText(Buffer.concat(fields));

/** Tables within tables. */
export function nested(depth: number): Buffer {
  // From the inside out, each in place: 20,000 levels would be copied 20,000 times.
  const level = 6;
  const bytes = Buffer.alloc(4 + level * depth);
  bytes.writeUInt32BE(level * depth, 0);
  for (let n = 0; n < depth; n++) {
    const at = 4 + level * n;
    bytes.write("\x00F", at, "latin1");
    bytes.writeUInt32BE(level * (depth - 1 - n), at + 2);
  }
  return bytes;
}

/** A content header's flags and properties: a message id and headers. */
export const properties = (messageId: string | Buffer, headers: Buffer): Buffer =>
  Buffer.concat([Buffer.from([0x20, 0x80]), headers, shortText(messageId)]);

/** Publishes to the default exchange, with properties as they stand. */
export function publishRaw(
  model: ChannelModel,
  channel: Channel,
  queue: string,
  props: Buffer,
  body: Buffer,
): void {
  const { stream } = model.connection as unknown as { stream: Socket };
  const { ch } = channel as unknown as { ch: number };
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(body.length));
  const method = Buffer.concat([Buffer.from([0, 60, 0, 40, 0, 0, 0]), shortText(queue), Buffer.from([0])]);
  const content = Buffer.concat([Buffer.from([0, 60, 0, 0]), size, props]);
  stream.write(Buffer.concat([frame(1, ch, method), frame(2, ch, content), frame(3, ch, body)]));
}

export function frame(type: number, channel: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(3);
  head.writeUInt8(type);
  head.writeUInt16BE(channel, 1);
  return Buffer.concat([head, longText(payload), Buffer.from([0xce])]);
}
