/** Bodies: packed ones, and what expressions see of them. And what the log takes out of a text. */
import assert from "node:assert/strict";
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { packHeaders, unpackHeaders } from "../../src/event.ts";
import { createLog } from "../../src/log.ts";
import { BodyError, decodeBody } from "../../src/routing/body.ts";
import { eventView } from "../../src/routing/view.ts";
import { unpack } from "../../src/sources/webhook/unpack.ts";
import { event } from "../routing/events.ts";
import { property } from "./property.ts";
import { longText, soup } from "./texts.ts";

const BOUNDS = { max: 256 * 1024, ratio: 20 };
const QUICK = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };
const PACK = {
  gzip: gzipSync,
  "x-gzip": gzipSync,
  deflate: deflateSync,
  br: (body: Uint8Array) => brotliCompressSync(body, QUICK),
} as const;
const encoding = fc.constantFrom(...(Object.keys(PACK) as (keyof typeof PACK)[]));
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 2000 }),
  longText.map((text) => Buffer.from(text)),
  fc.json().map((text) => Buffer.from(text)),
  soup(["{", "[", "]", "}", '"', ":", ",", "1", "\\u", "e", "=", "&", "%", "+"], 60).map((text) =>
    Buffer.from(text),
  ),
  fc.nat(30_000).map((depth) => Buffer.from("[".repeat(depth))),
);
const contentType = fc.oneof(
  fc.constantFrom(
    null,
    "application/json",
    "application/ld+json; x=y",
    "text/plain",
    "application/x-www-form-urlencoded",
    "",
  ),
  longText,
);

/** How a text comes out of the log. */
function logged(text: string): string {
  let line = "";
  const log = createLog({ level: "info", format: "json", stream: { write: (written) => (line = written) } });
  log.info({ text, err: new Error(text) }, "fuzz");
  return line;
}

export const bodies = [
  property("a body is unpacked, too large, or malformed", fc.tuple(bytes, encoding), async ([wire, how]) => {
    const unpacked = await unpack(wire, how, BOUNDS);
    if (unpacked.body !== null) assert.ok(unpacked.body.byteLength <= BOUNDS.max);
  }),

  property(
    "a body that was packed is unpacked as it was; cut off it is malformed",
    fc.tuple(bytes, encoding, fc.nat()),
    async ([body, how, at]) => {
      for (const wire of [PACK[how](body), ...(how === "deflate" ? [deflateRawSync(body)] : [])]) {
        const unpacked = await unpack(wire, how, BOUNDS);
        assert.deepEqual(unpacked, { body: Buffer.from(body), fault: null });
        const cut = await unpack(wire.subarray(0, at % wire.length), how, BOUNDS);
        assert.deepEqual(cut, { body: null, fault: "malformed" });
      }
    },
  ),

  property(
    "what unpacks to more than it may is too large",
    fc.tuple(encoding, fc.integer({ min: 1, max: 512 * 1024 })),
    async ([how, more]) => {
      const { fault } = await unpack(PACK[how](Buffer.alloc(BOUNDS.max + more)), how, BOUNDS);
      assert.equal(fault, "too_large");
    },
  ),

  property(
    "a body is decoded or in error, whatever it says that it is",
    fc.tuple(bytes, contentType),
    ([body, type], within) => {
      for (const decode of ["auto", "json", "text", "bytes"] as const) {
        try {
          within(() => decodeBody(body, decode, type));
        } catch (error) {
          if (!(error instanceof BodyError)) throw error;
          assert.ok(error.message.length < 100, "it quotes nothing");
        }
      }
    },
  ),

  property("JSON is decoded as it was meant", fc.jsonValue(), (value) => {
    const body = Buffer.from(JSON.stringify(value));
    assert.deepEqual(decodeBody(body, "auto", "application/json"), JSON.parse(JSON.stringify(value)));
  }),

  property(
    "a form's fields come back as they were",
    fc.array(fc.tuple(longText, longText), { maxLength: 5 }),
    (pairs) => {
      const body = Buffer.from(new URLSearchParams(pairs).toString());
      const decoded = decodeBody(body, "auto", "application/x-www-form-urlencoded") as Record<
        string,
        string | string[]
      >;
      for (const [name, value] of pairs) {
        const read = decoded[name.toWellFormed()];
        assert.ok([read].flat().includes(value.toWellFormed()));
      }
    },
  ),

  property(
    "headers that were packed are unpacked, and seen by expressions",
    fc.array(fc.tuple(fc.stringMatching(/^[!-~]{1,20}$/), fc.uint8Array({ maxLength: 40 })), {
      maxLength: 8,
    }),
    (headers, within) => {
      const packed = packHeaders(headers);
      assert.deepEqual(
        unpackHeaders(packed).map(([name, value]) => [name, [...value]]),
        headers.map(([name, value]) => [name, [...value]]),
      );
      const view = eventView(event({ headers, contentType: null }), "auto");
      const seen = within(() => ({ ...view.headers, ...view.headers_base64 }));
      for (const [name] of headers) assert.ok(Object.hasOwn(seen, name.toLowerCase()));
    },
  ),

  property(
    "an address in a text loses its credentials, fast",
    fc.tuple(longText, longText, longText),
    ([before, secret, after], within) => {
      within(() => logged(before + after));
      const password = `pw${secret.replace(/[^a-z0-9]/gi, "")}wp`;
      const shown = within(() => logged(`${before} amqp://user:${password}@host/x?${password} ${after}`));
      assert.ok(!shown.includes(password) || before.includes(password) || after.includes(password));
    },
  ),
];
