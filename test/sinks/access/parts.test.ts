/** The parts of access that decide without I/O. */
import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { describe, test } from "node:test";
import fc from "fast-check";
import { compilePattern, literalName } from "../../../src/pattern.ts";
import { addressBlock, clientAddress } from "../../../src/sinks/stream/access/address.ts";
import { UNKNOWN } from "../../../src/sinks/stream/access/admission.ts";
import { compileClaimTemplate, templateProblem } from "../../../src/sinks/stream/access/claims.ts";
import { Deadlines } from "../../../src/sinks/stream/access/deadlines.ts";
import { GrantBook } from "../../../src/sinks/stream/access/grants.ts";
import { Revocations } from "../../../src/sinks/stream/access/revocations.ts";
import { Sessions } from "../../../src/sinks/stream/access/sessions.ts";
import { Slots } from "../../../src/sinks/stream/access/slots.ts";
import { grantOf, mayPublish, selectChannels } from "../../../src/sinks/stream/channels.ts";
import { SimulatedClock } from "../../journal/simulation/simulated-clock.ts";
import { openTo, quietLog } from "../stream-kit.ts";

describe("a template on claims", () => {
  const fill = (template: string, claims: object) =>
    compileClaimTemplate(template).fill(claims as Record<string, unknown>);

  test("takes a claim by its path, and a list as one name each", () => {
    assert.deepEqual(fill("all", {}), ["all"]);
    assert.deepEqual(fill("user.{{ claims.sub }}.inbox", { sub: "a" }), ["user.a.inbox"]);
    assert.deepEqual(fill("{{claims.org.id}}/{{ claims.sub }}", { sub: "a", org: { id: 7 } }), ["7/a"]);
    assert.deepEqual(fill('x.{{ claims["https://example.com/id"] }}', { "https://example.com/id": "q" }), [
      "x.q",
    ]);
    assert.deepEqual(fill("room.{{ claims.rooms }}", { rooms: ["1", 2, "", null, "a*"] }), [
      "room.1",
      "room.2",
      "room.a\\*",
    ]);
    assert.deepEqual(fill("{{ claims.a }}.{{ claims.b }}", { a: ["1", "2"], b: ["3", "4"] }), []);
    assert.equal(
      fill("room.{{ claims.rooms }}", { rooms: Array.from({ length: 5000 }, (_, n) => n) }).length,
      1000,
    );
  });

  test("finds nothing that isn't the token's own", () => {
    for (const path of ["constructor.name", "__proto__.x", "toString", "sub.length", "sub.0"])
      assert.deepEqual(fill(`x.{{ claims.${path.replace(/\.(\d)/, '["$1"]')} }}`, { sub: "abc" }), [], path);
  });

  test("that names no claim is refused while the configuration is read", () => {
    for (const bad of [
      "{{ sub }}",
      "{{ claims }}",
      "{{ claims. }}",
      "{{ body.x }}",
      "{{",
      "a.{{ claims.sub",
      "{{ claims.a + 1 }}",
      "{{ }}",
      "{{ claims.a }} {{",
      "{{ $eval(1) }}",
    ])
      assert.notEqual(templateProblem(bad), null, bad);
    for (const good of ["a", "a.*", "}}", "{{ claims.a-b }}", "{{claims['x y']}}"])
      assert.equal(templateProblem(good), null, good);
  });

  test("whatever a claim holds, what it makes matches that text alone", () => {
    const texts = fc.string({
      unit: fc.constantFrom("a", "b", "*", "**", "\\", ".", "/", "{{", "}}"),
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(texts, texts, (sub, other) => {
        const [pattern = ""] = fill("user.{{ claims.sub }}", { sub });
        const matches = compilePattern(pattern);
        assert.ok(matches(`user.${sub}`));
        assert.equal(matches(`user.${other}`), sub === other);
        const asked = selectChannels(openTo([pattern]), [`user.${other}`]);
        // As it is asked for, `\` makes the next character literal; a wildcard is never covered.
        if (asked.allowed) assert.deepEqual(asked.selection, { exact: [`user.${sub}`], patterns: [] });
      }),
      { numRuns: 3000 },
    );
  });
});

test("a backslash before a template frees no star of a claim's", () => {
  const [name = ""] = compileClaimTemplate("user.\\{{ claims.sub }}").fill({ sub: "*" });
  assert.equal(literalName(name), "user.\\*");
});

describe("grants", () => {
  const claims = { sub: "42" };
  const book = new GrantBook(
    ["user.{{ claims.sub }}", { name: "room.*", presence: true, ephemeral: true, slow: "latest" }],
    ["room.*", "out.{{ claims.sub }}"],
  );

  test("carry what an entry says of its channel, also where a judge lists a part of it", () => {
    const own = book.admission({ ...UNKNOWN, claims }, []);
    assert.deepEqual(grantOf(own, "room.1"), {
      name: "room.*",
      presence: true,
      ephemeral: true,
      slow: "latest",
    });
    assert.deepEqual(own.publish, ["room.*", "out.42"]);
    const listed = book.admission(
      { ...UNKNOWN, claims, channels: ["room.1", "user.42", "user.43", "**"], publish: ["room.1", "other"] },
      [],
    );
    assert.deepEqual(
      listed.channels.map(({ name }) => name),
      ["room.1", "user.42"],
    );
    assert.equal(grantOf(listed, "room.1")?.slow, "latest");
    assert.equal(grantOf(listed, "room.2"), null);
    assert.ok(mayPublish(listed, "room.1") && !mayPublish(listed, "room.2") && !mayPublish(listed, "other"));
  });

  test("without the claims they ask for are none, and what is revoked is neither read nor written", () => {
    assert.deepEqual(
      book.admission(UNKNOWN, []).channels.map(({ name }) => name),
      ["room.*"],
    );
    const denied = book.admission({ ...UNKNOWN, claims }, ["room.1"]);
    assert.equal(grantOf(denied, "room.1"), null);
    assert.equal(grantOf(denied, "room.*"), null);
    assert.notEqual(grantOf(denied, "room.2"), null);
    assert.ok(!mayPublish(denied, "room.1") && mayPublish(denied, "room.2"));
  });
});

test("one pattern in many spellings is one in a reader's selection, and in what it is told isn't open", () => {
  const selected = selectChannels(openTo(["room.**"]), ["r\\oom.*", "room.\\*.***", "sec\\ret.*"], {
    resumes: true,
  });
  assert.deepEqual(selected, {
    allowed: true,
    selection: { exact: [], patterns: ["room.*", "room.\\*.**"] },
    lost: ["secret.*"],
  });
});

describe("addresses", () => {
  const asked = (remoteAddress: string | undefined, forwarded?: string | string[]) =>
    ({
      socket: { remoteAddress },
      headers: forwarded === undefined ? {} : { "x-forwarded-for": forwarded },
    }) as unknown as IncomingMessage;

  test("are the socket's, or what trusted proxies say, as far as they are trusted", () => {
    const alone = clientAddress([]);
    assert.equal(alone(asked("::ffff:192.0.2.1", "203.0.113.1")), "192.0.2.1");
    assert.equal(alone(asked("fe80::1%eth0")), "fe80::1");
    assert.equal(alone(asked(undefined)), "");
    const behind = clientAddress(["10.0.0.0/8", "fd00::/8"]);
    assert.equal(behind(asked("10.0.0.1", "203.0.113.1")), "203.0.113.1");
    assert.equal(behind(asked("::ffff:10.0.0.1", "1.1.1.1, 203.0.113.1, 10.2.3.4")), "203.0.113.1");
    assert.equal(behind(asked("192.0.2.1", "203.0.113.1")), "192.0.2.1");
    assert.equal(behind(asked("10.0.0.1")), "10.0.0.1");
    assert.equal(behind(asked("10.0.0.1", "10.0.0.2")), "10.0.0.2");
    for (const nonsense of ["", "unknown", "a, b", ",,,", "<script>", "1.2.3.4.5", "x".repeat(10_000)])
      assert.equal(behind(asked("10.0.0.1", nonsense)), "10.0.0.1", nonsense.slice(0, 20));
    assert.equal(behind(asked("fd00::1", "[2001:db8::1]")), "2001:db8::1");
  });

  test("of IPv6 count by their /64", () => {
    assert.equal(addressBlock("192.0.2.1"), "192.0.2.1");
    assert.equal(addressBlock("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    assert.equal(addressBlock("2001:db8:1:2::9"), "2001:db8:1:2::/64");
    assert.equal(addressBlock("2001:0DB8:1:2::9"), "2001:db8:1:2::/64");
    assert.equal(addressBlock("::1"), "0:0:0:0::/64");
    assert.equal(addressBlock("2001:db8::"), "2001:db8:0:0::/64");
    assert.equal(addressBlock(""), "");
  });
});

test("places are taken and given back once, and none of a refused one is kept", () => {
  const slots = new Slots({ connections: 3, perAddress: 2, perUser: 1 });
  const first = slots.take("192.0.2.1", "a");
  assert.ok(typeof first === "function");
  assert.equal(typeof slots.take("192.0.2.1", "a"), "object");
  assert.equal(typeof slots.take("192.0.2.1", null), "function");
  assert.equal(typeof slots.take("192.0.2.1", "b"), "object");
  assert.equal(typeof slots.take("192.0.2.2", "b"), "function");
  assert.equal(typeof slots.take("192.0.2.3", "c"), "object");
  first();
  first();
  assert.equal(slots.taken, 2);
  assert.equal(typeof slots.take("192.0.2.1", "a"), "function");
});

test("ten thousand things are due in their seconds, by one timer, and a forgotten one never", () => {
  const clock = new SimulatedClock();
  const due: number[] = [];
  const deadlines = new Deadlines<number>(clock, (item) => {
    due.push(item);
    // As a session does that is judged again.
    if (item === 0 && due.length < 5) deadlines.set(0, 1000);
  });
  for (let n = 0; n < 10_000; n++) deadlines.set(n, n);
  deadlines.delete(5000);
  deadlines.set(1, 60_000);
  clock.pass(3000);
  assert.ok(due.includes(0) && due.includes(1500) && !due.includes(1) && !due.includes(4500));
  clock.pass(20_000);
  assert.equal(new Set(due).size, 9_998);
  clock.pass(60_000);
  assert.ok(due.includes(1) && !due.includes(5000));
  assert.equal(clock.fire(clock.monotonic() + 10_000_000), false, "no timer is left");
});

describe("a session", () => {
  test("ends when it expires by the monotonic clock, whatever the other one does meanwhile", () => {
    for (const step of [-3_600_000, 0, 3_600_000]) {
      const clock = new SimulatedClock();
      const ended: string[] = [];
      const sessions = new Sessions({
        clock,
        log: quietLog(),
        judging: null,
        revocations: new Revocations({ clock }),
        judge: async () => {
          throw new Error("nobody is judged again");
        },
      });
      let released = 0;
      const admission = {
        ...UNKNOWN,
        expiresAt: clock.wall() + 60_000,
        channels: [],
        publish: [],
        denied: [],
      };
      const credential = { token: "t", headers: {}, origin: null, asked: [], address: "", issuedAt: null };
      const owner = { changed: () => {}, ended: (why: string) => ended.push(why) };
      sessions.open(admission, credential, owner, () => released++);
      clock.step(step);
      clock.pass(59_000);
      assert.deepEqual(ended, []);
      clock.pass(2000);
      assert.deepEqual(ended, ["expired"]);
      assert.equal(released, 1);
    }
  });
});
