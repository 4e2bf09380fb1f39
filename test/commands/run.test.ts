import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { MAIN, makeDaemon, makeReceiver } from "../e2e/daemon.ts";
import { followStream } from "../e2e/stream-reader.ts";
import { waitFor } from "../wait-for.ts";

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function leat(args: readonly string[], cwd: string, env: Record<string, string> = {}): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env: { ...process.env, ...env } });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

function folderOf(t: { after(fn: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "leat-run-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const HOLDING = (url: string) => `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  out: { type: webhook, url: "${url}/hook", retry: { initial: 1h }, timeout: 30s }
  live: { type: sse, path: /events, auth: { type: none } }
routes: { all: { from: in, to: [out, live] } }
`;

const post = async (url: string, body: object): Promise<number> => {
  const response = await fetch(`${url}/in`, { method: "POST", body: JSON.stringify(body) });
  await response.arrayBuffer();
  return response.status;
};

/** A stream's text as it comes, once its headers have. */
async function readStream(url: string) {
  const { body } = await fetch(url);
  let text = "";
  const ended = (async () => {
    for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) text += chunk;
  })();
  return { text: () => text, ended };
}

test("a configuration with errors ends the start with 2, each error with its place", async (t) => {
  const folder = folderOf(t);
  writeFileSync(join(folder, "leat.yaml"), "sinks: { out: { type: stdoot } }\n");
  const { code, stderr } = await leat(["run"], folder);
  assert.equal(code, 2);
  assert.match(stderr, /leat\.yaml:1:\d+: .*stdout/);
});

test("no configuration at all ends with 2 and says where one was looked for", async (t) => {
  const { code, stderr } = await leat(["run"], folderOf(t));
  assert.equal(code, 2);
  assert.match(stderr, /leat\.yaml/);
});

test("an admin listener off loopback without a token is refused with 2", async (t) => {
  const folder = folderOf(t);
  writeFileSync(join(folder, "leat.yaml"), 'server: { admin: "0.0.0.0:0" }\n');
  const { code, stderr } = await leat(["run"], folder, { LEAT_ADMIN_TOKEN: "" });
  assert.equal(code, 2);
  assert.match(stderr, /LEAT_ADMIN_TOKEN/);
});

test("a second daemon on the same journal ends with 3 and leaves the first alone", async (t) => {
  const daemon = await makeDaemon("");
  t.after(() => daemon.close());
  await daemon.start();
  const { code, stderr } = await leat(
    ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
    daemon.folder,
  );
  assert.equal(code, 3, stderr);
  assert.match(stderr, /journal/i);
  assert.ok((await fetch(`${daemon.admin}/healthz`)).ok);
});

test("a damaged journal ends with 3 and a remedy, and is left as it is", async (t) => {
  const folder = folderOf(t);
  mkdirSync(join(folder, "data"), { mode: 0o700 });
  writeFileSync(join(folder, "leat.yaml"), 'server: { listen: "127.0.0.1:0", admin: "127.0.0.1:0" }\n');
  writeFileSync(join(folder, "data/journal.db"), "this is no database ".repeat(1000));
  const { code, stderr } = await leat(["run"], folder);
  assert.equal(code, 3, stderr);
  assert.match(stderr, /backup|recover/);
});

test("an address that is taken ends with 1 and says which", async (t) => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  t.after(() => other.close());
  const { port } = other.address() as AddressInfo;
  const folder = folderOf(t);
  writeFileSync(
    join(folder, "leat.yaml"),
    `server: { listen: "127.0.0.1:${port}", admin: "127.0.0.1:0" }\njournal: { watermark: { share: 0%, size: 0B } }\n`,
  );
  const { code, stderr } = await leat(["run"], folder);
  assert.equal(code, 1, stderr);
  assert.match(stderr, new RegExp(`127\\.0\\.0\\.1:${port}`));
});

test("SIGTERM: readiness goes at once, webhooks are taken for the delay, streams get a bye and nothing is lost to their readers, exit 0; a waiting retry delays nothing", async (t) => {
  const receiver = await makeReceiver();
  receiver.answer = () => 503;
  const daemon = await makeDaemon(HOLDING(receiver.url), { LEAT_SHUTDOWN_DELAY: "1500ms" });
  t.after(() => Promise.all([daemon.close(), receiver.close()]));
  await daemon.start();
  const stream = await readStream(`${daemon.url}/events`);
  assert.equal(await post(daemon.url, { n: 1 }), 200);
  await waitFor("the first event at the reader", () => stream.text().includes('"n":1'));
  await waitFor("the first attempt, which fails", () => receiver.received.length >= 1);

  const begun = performance.now();
  daemon.signal("SIGTERM");
  await waitFor("readiness to go", async () => {
    const response = await fetch(`${daemon.admin}/readyz`);
    const { reasons } = (await response.json()) as { reasons: string[] };
    return response.status === 503 && reasons.includes("draining");
  });
  await stream.ended;
  assert.match(stream.text(), /^event: ?bye\ndata: ?\{"reason":"drain"\}$/m);
  assert.equal(await post(daemon.url, { n: 2 }), 200, "still taken during the delay");
  assert.equal(await daemon.ended(), 0, daemon.output());
  assert.ok(performance.now() - begun < 10_000, "the retry in an hour was not waited for");

  const lastId = [...stream.text().matchAll(/^id: ?(\d+)$/gm)].at(-1)?.[1] ?? "";
  await daemon.start();
  const back = followStream(`${daemon.url}/events`, lastId);
  t.after(() => back.close());
  await waitFor("what came when it was gone", () => back.events.length > 0);
  assert.deepEqual([back.events.map(({ data }) => data), back.gaps], [['{"n":2}'], []]);
});

test("SIGTERM: an attempt under way is finished and counts; nothing is delivered twice after the next start", async (t) => {
  const receiver = await makeReceiver();
  const { promise: release, resolve } = Promise.withResolvers<number>();
  receiver.answer = () => release;
  const daemon = await makeDaemon(HOLDING(receiver.url));
  t.after(() => Promise.all([daemon.close(), receiver.close()]));
  await daemon.start();
  assert.equal(await post(daemon.url, { n: 1 }), 200);
  await waitFor("the attempt to be under way", () => receiver.received.length === 1);
  daemon.signal("SIGTERM");
  await waitFor("its listener to be closed", () =>
    fetch(daemon.url).then(
      () => false,
      () => true,
    ),
  );
  resolve(200);
  assert.equal(await daemon.ended(), 0, daemon.output());
  await daemon.start();
  assert.equal(await post(daemon.url, { n: 2 }), 200);
  await waitFor("the second event", () => receiver.received.length === 2);
  assert.match(receiver.received[1]?.body ?? "", /"n":2/);
});

test("SIGTERM: an attempt that doesn't end is handed back within the time-out, and tried again after the next start", async (t) => {
  const receiver = await makeReceiver();
  receiver.answer = () => new Promise<number>(() => {});
  const daemon = await makeDaemon(HOLDING(receiver.url), { LEAT_SHUTDOWN_TIMEOUT: "6s" });
  t.after(() => Promise.all([daemon.close(), receiver.close()]));
  await daemon.start();
  assert.equal(await post(daemon.url, { n: 1 }), 200);
  await waitFor("the attempt to be under way", () => receiver.received.length === 1);
  const begun = performance.now();
  daemon.signal("SIGTERM");
  assert.equal(await daemon.ended(), 0, daemon.output());
  assert.ok(performance.now() - begun < 6_000);
  receiver.answer = () => 200;
  await daemon.start();
  await waitFor("it to be tried again", () => receiver.received.length === 2);
  assert.equal(receiver.received[1]?.headers["webhook-id"], receiver.received[0]?.headers["webhook-id"]);
});

test("a second signal ends it at once with 1", async (t) => {
  const daemon = await makeDaemon("", { LEAT_SHUTDOWN_DELAY: "8s" });
  t.after(() => daemon.close());
  await daemon.start();
  daemon.signal("SIGTERM");
  await waitFor("it to drain", async () => (await fetch(`${daemon.admin}/readyz`)).status === 503);
  daemon.signal("SIGINT");
  assert.equal(await daemon.ended(), 1);
});

test("SIGTERM under load: what was answered 2xx is on disk, and arrives after the next start", async (t) => {
  const receiver = await makeReceiver();
  const daemon = await makeDaemon(HOLDING(receiver.url));
  t.after(() => Promise.all([daemon.close(), receiver.close()]));
  await daemon.start();
  const reader = followStream(`${daemon.url}/events`);
  t.after(() => reader.close());
  const promised = new Set<number>();
  let stop = false;
  let n = 0;
  const senders = Array.from({ length: 8 }, async () => {
    while (!stop) {
      const mine = n++;
      if ((await post(daemon.url, { n: mine }).catch(() => 0)) === 200) promised.add(mine);
      else await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });
  await waitFor("some load", () => promised.size > 200);
  daemon.signal("SIGTERM");
  assert.equal(await daemon.ended(), 0, daemon.output());
  stop = true;
  await Promise.all(senders);
  await daemon.start();
  const numbers = (texts: readonly string[]) => texts.map((text) => (JSON.parse(text) as { n: number }).n);
  await waitFor("all at the receiver", () => {
    const seen = new Set(numbers(receiver.received.map(({ body }) => body)));
    return [...promised].every((one) => seen.has(one));
  });
  const received = numbers(receiver.received.map(({ body }) => body));
  assert.equal(received.length, new Set(received).size, "an orderly stop repeats nothing");
  await waitFor("all at the reader", () => {
    const seen = new Set(numbers(reader.events.map(({ data }) => data)));
    return [...promised].every((one) => seen.has(one));
  });
});

/** Resolves once the daemon waits for its configuration at this pipe; what is returned writes it, and ends the wait. */
async function waitingAt(pipe: string): Promise<(text: string) => void> {
  let at = -1;
  await waitFor("it to read its configuration", () => {
    try {
      at = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch {
      // Nobody reads yet.
    }
    return at >= 0;
  });
  return (text) => {
    writeSync(at, text);
    closeSync(at);
  };
}

/** A daemon that is reading its configuration, which is a pipe, until `goOn`. */
async function starting(t: TestContext) {
  const daemon = await makeDaemon("");
  t.after(() => daemon.close());
  const file = join(daemon.folder, "leat.yaml");
  const text = readFileSync(file, "utf8");
  rmSync(file);
  execFileSync("mkfifo", [file]);
  daemon.launch();
  const write = await waitingAt(file);
  return { daemon, file, goOn: () => write(text) };
}

test("SIGHUP while it starts doesn't end it: it reloads once it is up", async (t) => {
  const { daemon, file, goOn } = await starting(t);
  daemon.signal("SIGHUP");
  rmSync(file);
  daemon.writeConfig("sources: { in: { type: webhook, path: /in, verify: { type: none } } }\n");
  goOn();
  const taken = () => post(daemon.url, {}).catch(() => 0);
  await waitFor("the source that came with the reload", async () => (await taken()) === 200);
});

test("SIGTERM while it starts ends it with 0", async (t) => {
  const { daemon, goOn } = await starting(t);
  daemon.signal("SIGTERM");
  goOn();
  assert.equal(await daemon.ended(), 0, daemon.output());
});

test("SIGHUP reads the configuration anew", async (t) => {
  const daemon = await makeDaemon("");
  t.after(() => daemon.close());
  await daemon.start();
  daemon.writeConfig("sources: { in: { type: webhook, path: /in, verify: { type: none } } }\n");
  daemon.signal("SIGHUP");
  await waitFor("the new source", async () => (await post(daemon.url, {})) === 200);
});

test("an argument goes over the file, and an unknown one is an error", async (t) => {
  const folder = folderOf(t);
  writeFileSync(join(folder, "leat.yaml"), "log: { level: info }\n");
  const wrong = await leat(["run", "--log-level", "loud"], folder);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--log-level/);
  const unknown = await leat(["run", "--colour", "blue"], folder);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /unknown option/);
});

for (const how of ["exception", "rejection"]) {
  test(`a defect (an ${how} nobody handles) is logged, what was taken is kept, and it ends with 1`, async (t) => {
    const folder = folderOf(t);
    const file = join(folder, "leat.yaml");
    writeFileSync(
      file,
      'server: { listen: "127.0.0.1:0", admin: "127.0.0.1:0" }\njournal: { watermark: { share: 0%, size: 0B } }\n' +
        "sources: { in: { type: webhook, path: /in, verify: { type: none } } }\n",
    );
    const child = spawn(process.execPath, [join(import.meta.dirname, "defect.ts"), file, how]);
    let stderr = "";
    child.stderr.on("data", (chunk) => (stderr += chunk));
    const [code] = (await once(child, "close")) as [number | null];
    assert.equal(code, 1, stderr);
    assert.match(stderr, /"msg":"a defect: leaving"/);
    assert.match(stderr, /TypeError/);
  });
}

test("a disk that fails a write ends it with 4, and what was answered 2xx is there after the next start", async (t) => {
  const folder = folderOf(t);
  writeFileSync(
    join(folder, "leat.yaml"),
    'server: { listen: "127.0.0.1:0", admin: "127.0.0.1:0" }\njournal: { watermark: { share: 0%, size: 0B } }\n' +
      "sources: { in: { type: webhook, path: /in, verify: { type: none } } }\n",
  );
  // A limit on the size of a file fails a write with EFBIG: an error that isn't "no space". Above the 64 MiB of the ballast.
  const child = spawn("bash", ["-c", 'ulimit -f 81920; exec "$0" "$@"', process.execPath, MAIN, "run"], {
    cwd: folder,
  });
  let stderr = "";
  child.stderr.on("data", (chunk) => (stderr += chunk));
  const ended = once(child, "close") as Promise<[number | null]>;
  const running = await waitFor("it to run", () => /"listen":"([^"]+)"/.exec(stderr)?.[1]);
  let promised = 0;
  await waitFor(
    "a write to fail",
    async () => {
      const body = JSON.stringify({ filler: "x".repeat(1_000_000), promised });
      const response = await fetch(`${running}/in`, { method: "POST", body }).catch(() => null);
      if (response?.status === 200) promised++;
      return child.exitCode !== null;
    },
    60_000,
  );
  const [code] = await ended;
  assert.equal(code, 4, stderr.slice(-2000));
  const again = spawn(process.execPath, [MAIN, "run"], { cwd: folder });
  t.after(() => again.kill("SIGKILL"));
  let log = "";
  again.stderr.on("data", (chunk) => (log += chunk));
  const admin = await waitFor("it to run again", () => /"admin":"([^"]+)"/.exec(log)?.[1]);
  const text = await (await fetch(`${admin}/metrics`)).text();
  const kept = Number(/^leat_journal_events (\d+)$/m.exec(text)?.[1]);
  assert.ok(kept >= promised, `${kept} kept of ${promised} promised`);
});

test("what a removed route still owes is said at the start, with the remedy", async (t) => {
  const daemon = await makeDaemon(HOLDING("http://127.0.0.1:9"));
  t.after(() => daemon.close());
  await daemon.start();
  assert.equal(await post(daemon.url, {}), 200);
  daemon.signal("SIGTERM");
  assert.equal(await daemon.ended(), 0);
  daemon.writeConfig("");
  await daemon.start();
  assert.match(
    daemon.output(),
    /all\/out has no route any more and still owes 1 event: `leat purge all\/out`/,
  );
});
