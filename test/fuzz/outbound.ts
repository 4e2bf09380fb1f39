/** What an event and a receiver may make of a request that Leat sends: its address, its headers, when to come back. */
import assert from "node:assert/strict";
import { request } from "node:http";
import fc from "fast-check";
import type { Message } from "../../src/component.ts";
import { packHeaders } from "../../src/event.ts";
import { AddressBook } from "../../src/sinks/webhook/address.ts";
import { webhookSchema } from "../../src/sinks/webhook/config.ts";
import { retryAfterMs } from "../../src/sinks/webhook/failure.ts";
import { RequestHeaders, UnsendableHeader } from "../../src/sinks/webhook/request-headers.ts";
import { message } from "../sinks/webhook/kit.ts";
import { property } from "./property.ts";
import { anyText, longText, soup } from "./texts.ts";

const NOW = 1_795_224_065_810;
const TRACE = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;
const latin1 = (text: string) => Buffer.from(text).toString("latin1");

const trace = fc.oneof(
  soup(
    [
      "00",
      "01",
      "-",
      "0af7651916cd43dd8448eb211c80319c",
      "b7ad6b7169203331",
      "0".repeat(32),
      "0".repeat(16),
      "ff",
      "A",
      " ",
      ",",
    ],
    9,
  ),
  longText,
);
const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));
const header = fc.tuple(
  fc.constantFrom("Content-Type", "X-One", "x-two", "TraceParent", "webhook-id", "host"),
  longText.map(latin1),
);

function messageWith(headers: readonly (readonly [string, string])[], more: Partial<Message> = {}): Message {
  const made = message(more);
  return { ...made, event: { ...made.event, headers: packHeaders(headers) } };
}

const headers = new RequestHeaders(
  webhookSchema.parse({
    url: "https://example.com/",
    forward_headers: ["x-one", "x-two"],
    sign: { type: "standard", secret: `whsec_${Buffer.alloc(32).toString("base64")}` },
  }),
);

/** Names and values, as they would be put on the wire. */
function written(made: readonly string[]): [string, string][] {
  return Array.from({ length: made.length / 2 }, (_, at) => [String(made[at * 2]), String(made[at * 2 + 1])]);
}

const field = fc.oneof(
  longText,
  soup(["/", "?", "#", "&", "=", "..", "//", "@", "evil.com", ":", "%", "%2f", "\\", " ", "a"], 8),
);

export const outbound = [
  property(
    "headers are made that HTTP can carry, or the event is unsendable",
    fc.tuple(fc.array(header, { maxLength: 5 }), fc.option(longText)),
    ([own, contentType], within) => {
      let made: string[];
      try {
        made = within(() => headers.of(messageWith(own, { contentType }), NOW));
      } catch (error) {
        if (!(error instanceof UnsendableHeader)) throw error;
        return;
      }
      const probe = request({
        host: "127.0.0.1",
        port: 1,
        lookup: () => {},
        createConnection: () => undefined as never,
      });
      probe.on("error", () => {}).destroy();
      for (const [name, value] of written(made)) {
        probe.setHeader(name, value);
        assert.ok(!/[\r\n\0]/.test(value));
      }
      const names = written(made).map(([name]) => name.toLowerCase());
      for (const ours of ["webhook-id", "traceparent", "leat-hops"]) {
        assert.equal(names.filter((name) => name === ours).length, 1);
      }
      assert.ok(!names.includes("host"));
    },
  ),

  property("a trace goes on, or a new one begins", trace.map(latin1), (value, within) => {
    const made = written(within(() => headers.of(messageWith([["traceparent", value]]), NOW)));
    const sent = TRACE.exec(made.find(([name]) => name === "traceparent")?.[1] ?? "");
    assert.ok(sent !== null);
    assert.ok(!/^0+$/.test(sent[1] ?? "") && !/^0+$/.test(sent[2] ?? ""));
  }),

  property(
    "a good trace keeps its id and gets a new span",
    fc.tuple(hex(32), hex(16), hex(2)),
    ([id, span, flags]) => {
      if (/^0+$/.test(id) || /^0+$/.test(span)) return;
      const made = written(headers.of(messageWith([["traceparent", `00-${id}-${span}-${flags}`]]), NOW));
      const sent = TRACE.exec(made.find(([name]) => name === "traceparent")?.[1] ?? "");
      assert.equal(sent?.[1], id);
      assert.notEqual(sent?.[2], span);
    },
  ),

  property(
    "a wait that a receiver asks for is none, or a number of ms",
    fc.tuple(
      fc.oneof(
        longText,
        soup(["Sun, 06 Nov 1994 08:49:37 GMT", "1", "0", "-", ".", " ", "e", "Feb", "31"], 6),
      ),
      fc.option(anyText),
    ),
    ([value, date], within) => {
      const ms = within(() => retryAfterMs(value, date ?? undefined, NOW));
      assert.ok(ms === undefined || (Number.isFinite(ms) && ms >= 0));
    },
  ),

  property(
    "a wait in seconds, and one by dates, are what was meant",
    fc.tuple(fc.nat(1e9), fc.nat(4_000_000_000)),
    ([seconds, at]) => {
      assert.equal(retryAfterMs(String(seconds), undefined, NOW), seconds * 1000);
      const [until, date] = [
        new Date((at + seconds) * 1000).toUTCString(),
        new Date(at * 1000).toUTCString(),
      ];
      assert.equal(retryAfterMs(until, date, NOW), seconds * 1000);
    },
  ),

  property(
    "no event picks a host, and its address fits into a request line",
    fc.record({ path: fc.option(field), query: fc.option(field), tail: field }),
    ({ path, query, tail }, within) => {
      const config = webhookSchema.parse({ url: "https://example.com/hooks", path: "{{ id }}" });
      const url = `https://example.com/hooks/${encodeURIComponent(tail.toWellFormed())}`;
      const fields = { url, ...(path === null ? {} : { path }), ...(query === null ? {} : { query }) };
      const address = within(() => new AddressBook(config).of(message({ fields }), config));
      assert.equal(address.origin, "https://example.com");
      assert.match(address.path, /^\/[\x21-\x7e]*$/);
      assert.equal(new URL(address.path, address.origin).host, new URL(address.origin + address.path).host);
      assert.equal(new URL(address.origin + address.path).host, "example.com");
    },
  ),
];
