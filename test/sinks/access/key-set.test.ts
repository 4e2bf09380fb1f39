/** A key set that is fetched: rotation, outage, and tokens that make us ask. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RemoteKeys } from "../../../src/sinks/stream/access/keys.ts";
import { Outside, type OutsideOptions } from "../../../src/sinks/stream/access/outside.ts";
import { SimulatedClock } from "../../journal/simulation/simulated-clock.ts";
import { waitFor } from "../../wait-for.ts";
import { open, withStream } from "../sse-kit.ts";
import { quietLog } from "../stream-kit.ts";
import { bearing, Endpoint, ec, jwk, mint, otherRsa, rsa, type Said, SECRET, statusOf } from "./kit.ts";

const RS256 = { alg: "RS256" };

async function withKeys(
  answer: () => Said | Promise<Said>,
  body: (
    keys: RemoteKeys,
    server: Endpoint,
    clock: SimulatedClock,
    log: ReturnType<typeof quietLog>,
  ) => Promise<void>,
  options: Partial<OutsideOptions> = {},
): Promise<void> {
  const server = await Endpoint.start(answer);
  const clock = new SimulatedClock();
  const log = quietLog();
  const outside = new Outside({ url: server.url, timeoutMs: 5000, maxBytes: 64 * 1024, ...options });
  const keys = new RemoteKeys({ outside, clock, log, refreshMs: 600_000, cooldownMs: 5000 });
  try {
    await body(keys, server, clock, log);
  } finally {
    await keys.stop();
    await server.close();
  }
}

describe("a key set", () => {
  test("tokens of its keys are let in; those of others, and a shared secret in it, are not", async () => {
    const server = await Endpoint.start(async () => ({
      body: {
        keys: [
          await jwk(rsa.publicKey, "one"),
          await jwk(ec.publicKey, "two"),
          { kty: "oct", kid: "three", k: Buffer.from(SECRET).toString("base64url") },
          { kty: "nonsense" },
        ],
      },
    }));
    const auth = { type: "jwt", jwks: server.url, algorithms: ["RS256", "ES256"], audience: "app" };
    try {
      await withStream({ auth }, async (stream) => {
        const by = async (alg: string, key: typeof rsa.privateKey, kid?: string) =>
          statusOf(stream, bearing(await mint({}, { alg, key, header: kid === undefined ? {} : { kid } })));
        assert.equal(await by("RS256", rsa.privateKey, "one"), 200);
        assert.equal(await by("RS256", rsa.privateKey), 200, "without a name, the one that fits");
        assert.equal(await by("ES256", ec.privateKey, "two"), 200);
        assert.equal(await by("RS256", otherRsa.privateKey, "one"), 401);
        assert.equal(await statusOf(stream, bearing(await mint({}, { header: { kid: "three" } }))), 401);
        assert.equal(server.asked.length, 1);
      });
    } finally {
      await server.close();
    }
  });

  test("two keys that fit a token without a name are both tried", async () => {
    const server = await Endpoint.start(async () => ({
      body: { keys: [await jwk(otherRsa.publicKey, "one"), await jwk(rsa.publicKey, "two")] },
    }));
    const auth = { type: "jwt", jwks: { url: server.url }, algorithms: ["RS256"], audience: "app" };
    try {
      await withStream({ auth }, async (stream) => {
        assert.equal(
          await statusOf(stream, bearing(await mint({}, { alg: "RS256", key: rsa.privateKey }))),
          200,
        );
      });
    } finally {
      await server.close();
    }
  });

  test("a key that was added is found by the first token of it; made-up names ask no more often than every 5 s", async () => {
    let keys = [await jwk(rsa.publicKey, "old")];
    await withKeys(
      () => ({ body: { keys } }),
      async (remote, server, clock) => {
        assert.equal((await remote.find({ ...RS256, kid: "old" })).length, 1);
        keys = [...keys, await jwk(otherRsa.publicKey, "new")];
        const found = remote.find({ ...RS256, kid: "new" });
        const flood = Array.from({ length: 500 }, (_, n) => remote.find({ ...RS256, kid: `made-up-${n}` }));
        clock.pass(5000);
        assert.equal((await found).length, 1);
        for (const one of await Promise.all(flood)) assert.deepEqual(one, []);
        assert.equal(server.asked.length, 2);
        // Too many at once are told to come back, and don't wait.
        const more = Array.from({ length: 1500 }, () => remote.find({ ...RS256, kid: "again" }));
        clock.pass(5000);
        const answers = await Promise.all(more);
        assert.equal(answers.filter((one) => one === "unavailable").length, 500);
        assert.equal(
          (await remote.find({ ...RS256, kid: "old" })).length,
          1,
          "known keys don't wait for the flood",
        );
      },
    );
  });

  test("while its endpoint is out, the last good keys are good, and what isn't known yet is to come back", async () => {
    let said: Said = { body: { keys: [await jwk(rsa.publicKey, "one")] } };
    await withKeys(
      () => said,
      async (remote, server, clock, log) => {
        assert.equal((await remote.find({ ...RS256, kid: "one" })).length, 1);
        for (const broken of [
          { status: 500 },
          { status: 302, headers: { location: server.url } },
          { body: "no JSON" },
          { body: { keys: [] } },
          { body: { keys: "all" } },
          { body: { keys: [{ kty: "oct", k: "AAAA" }] } },
          { body: "x".repeat(100_000) },
        ]) {
          said = broken;
          clock.pass(700_000);
          assert.equal((await remote.find({ ...RS256, kid: "one" })).length, 1);
          clock.pass(5000);
          const unknown = remote.find({ ...RS256, kid: "two" });
          clock.pass(5000);
          assert.equal(await unknown, "unavailable", JSON.stringify(broken).slice(0, 80));
        }
        assert.equal(log.lines.filter((line) => line.includes("can't be fetched")).length, 1, "told once");
        said = { body: { keys: [await jwk(otherRsa.publicKey, "two")] } };
        clock.pass(700_000);
        assert.equal(
          (await remote.find({ ...RS256, kid: "one" })).length,
          1,
          "the old set is used while a new one is fetched",
        );
        await waitFor("the new set", () => log.lines.some((line) => line.includes("there again")));
        assert.equal((await remote.find({ ...RS256, kid: "two" })).length, 1);
      },
    );
  });

  test("one that hangs is given up", async () => {
    await withKeys(
      () => new Promise<Said>(() => {}),
      async (remote) => {
        assert.equal(await remote.find({ ...RS256, kid: "one" }), "unavailable");
      },
      { timeoutMs: 100 },
    );
  });

  test("a reader is never turned away for good because the keys can't be had", async () => {
    const server = await Endpoint.start(() => ({ status: 503 }));
    const auth = { type: "jwt", jwks: server.url, algorithms: ["RS256"], audience: "app" };
    try {
      await withStream({ auth }, async (stream) => {
        const headers = bearing(await mint({}, { alg: "RS256", key: rsa.privateKey }));
        const reader = await open(stream, "channel=a", headers);
        assert.equal(reader.status, 200);
        await waitFor("the end", () => reader.ended);
        assert.deepEqual(
          reader.events.map(({ type, data }) => [type, data]),
          [["bye", '{"reason":"load"}']],
        );
        assert.match(reader.text, /^retry: \d{4}$/m);
      });
    } finally {
      await server.close();
    }
  });

  test("no redirect is followed: a key set is what the URL itself answers", async () => {
    const elsewhere = await Endpoint.start(async () => ({ body: { keys: [await jwk(rsa.publicKey, "k")] } }));
    const server = await Endpoint.start(() => ({ status: 302, headers: { location: elsewhere.url } }));
    const auth = { type: "jwt", jwks: { url: server.url }, algorithms: ["RS256"], audience: "app" };
    try {
      await withStream({ auth }, async (stream) => {
        const token = await mint({}, { alg: "RS256", key: rsa.privateKey, header: { kid: "k" } });
        assert.equal(await statusOf(stream, bearing(token)), 503);
      });
      assert.ok(server.asked.length > 0);
      assert.equal(elsewhere.asked.length, 0);
    } finally {
      await server.close();
      await elsewhere.close();
    }
  });

  test("an address that is denied is not connected to", async () => {
    await withKeys(
      async () => ({ body: { keys: [await jwk(rsa.publicKey)] } }),
      async (remote, server) => {
        assert.equal(await remote.find(RS256), "unavailable");
        assert.equal(server.asked.length, 0);
      },
      { addresses: { deny: "private" } },
    );
  });

  test("many at once wait for one fetch", async () => {
    const body = { keys: [await jwk(rsa.publicKey)] };
    await withKeys(
      () => ({ body }),
      async (remote, server) => {
        const all = await Promise.all(Array.from({ length: 200 }, () => remote.find(RS256)));
        assert.ok(all.every((keys) => keys.length === 1));
        assert.equal(server.asked.length, 1);
      },
    );
  });
});
