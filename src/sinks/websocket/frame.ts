/**
 * WebSocket frames as a server writes them (RFC 6455, section 5.2): unmasked, whole messages. Made once and written to
 * any number of sockets. What clients send is read by `ws`; so is every frame of a closing handshake written by it.
 */
import { constants, deflateRawSync } from "node:zlib";

const FIN = 0x80;
/** Of a message that is compressed (RFC 7692, section 7.2.1). */
const RSV1 = 0x40;
const TEXT = 0x1;
const PING = 0x9;
const PONG = 0xa;

/** What a deflate stream that was flushed ends with, and a message leaves out (RFC 7692, section 7.2.1). */
const FLUSH_TAIL = 4;

/** A smaller message hardly shrinks, and costs the reader the same trouble. */
const WORTH_DEFLATING = 1024;

export function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  return frame(FIN | TEXT, payload);
}

/** For readers with whom `permessage-deflate` was agreed, without a context that lasts from message to message. */
export function deflatedFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  if (payload.byteLength < WORTH_DEFLATING) return frame(FIN | TEXT, payload);
  const deflated = deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH });
  return frame(FIN | RSV1 | TEXT, deflated.subarray(0, deflated.byteLength - FLUSH_TAIL));
}

export const PING_FRAME = frame(FIN | PING, Buffer.alloc(0));

/** `payload`: of the ping that it answers, at most 125 bytes. */
export function pongFrame(payload: Buffer): Buffer {
  return frame(FIN | PONG, payload);
}

function frame(first: number, payload: Buffer): Buffer {
  const { byteLength: length } = payload;
  const head = length < 126 ? 2 : length < 2 ** 16 ? 4 : 10;
  const framed = Buffer.allocUnsafeSlow(head + length);
  framed[0] = first;
  if (head === 2) framed[1] = length;
  else if (head === 4) {
    framed[1] = 126;
    framed.writeUInt16BE(length, 2);
  } else {
    framed[1] = 127;
    framed.writeBigUInt64BE(BigInt(length), 2);
  }
  payload.copy(framed, head);
  return framed;
}
