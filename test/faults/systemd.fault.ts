/**
 * The unit under the real systemd: installed as docs/deploy.md says, started, reloaded, killed, stopped in its tracks,
 * misconfigured, damaged, and crashing at each start. What systemd makes of it is what counts.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeMachine, write } from "../deploy/systemd-machine.ts";
import { ROOT, UNIT } from "../deploy/unit-file.ts";
import { recordLedger } from "./ledger.ts";

const YAML = `journal: { watermark: { share: 0%, size: 0B } }
shutdown: { delay: 3s, timeout: 10s }
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { out: { type: webhook, url: "http://127.0.0.1:9/" } }
routes: { all: { from: in, to: out } }
`;

/** Prints `name value` lines. Every wait is for a condition, and ends. */
const SCRIPT = `
ip link set lo up
systemd-sysusers
chown -R root:leat /etc/leat
tell() { echo "$1 $2"; }
show() { systemctl show -p "$1" --value leat; }
until_is() { for n in $(seq 600); do [ "$(show "$1")" = "$2" ] && return; sleep 0.1; done; tell timeout "$1=$2"; }
ready() { for n in $(seq 300); do curl -sf 127.0.0.1:8081/readyz > /dev/null && return; sleep 0.1; done; tell timeout ready; }
post() { curl -s -o /dev/null -w '%{http_code}' -d '{}' 127.0.0.1:8080/in; }

systemctl start leat; tell start.code $?
tell start.state $(show ActiveState); tell start.status "$(show StatusText)"
pid=$(show MainPID)
tell user $(stat -c %U /proc/$pid); tell folder $(stat -c %a:%U /var/lib/leat /var/lib/leat/journal | tr '\\n' ,)
tell capabilities $(grep CapBnd /proc/$pid/status | cut -f2); tell seccomp $(grep Seccomp: /proc/$pid/status | cut -f2)
tell post.code $(post)

systemctl reload leat; tell reload.code $?; until_is ActiveState active
cp /etc/leat/leat.yaml /good.yaml; echo 'sinkz: {}' >> /etc/leat/leat.yaml
systemctl reload leat; tell reload_bad.code $?; until_is ActiveState active; tell reload_bad.pid $([ $pid = $(show MainPID) ] && echo same)
kill -HUP $pid
for n in $(seq 100); do show StatusText | grep -q 'changed nothing' && break; sleep 0.1; done
tell reload_bad.status "$(show StatusText)"
systemctl restart leat; until_is ActiveState failed
tell misconfigured.exit $(show ExecMainStatus); tell misconfigured.restarts $(show NRestarts)
cp /good.yaml /etc/leat/leat.yaml; systemctl reset-failed leat

systemctl start leat; tell killed.before $(show NRestarts)
kill -9 $(show MainPID); until_is NRestarts 1; until_is ActiveState active; ready
tell killed.kept $(curl -s 127.0.0.1:8081/metrics | grep '^leat_journal_events ' | cut -d' ' -f2); tell killed.post $(post)
kill -STOP $(show MainPID); until_is NRestarts 2; until_is ActiveState active; ready
tell hung.journal "$(journalctl -u leat --no-pager | grep -o 'Watchdog timeout' | head -1)"; tell hung.post $(post)
systemctl stop leat; tell stop.code $?; tell stop.result $(show Result); tell stop.exit $(show ExecMainStatus)

cp -a /var/lib/leat /var/lib/leat.good
printf 'not a database' | dd of=/var/lib/leat/journal/journal.db conv=notrunc status=none
systemctl start leat; tell damaged.code $?; until_is ActiveState failed
tell damaged.exit $(show ExecMainStatus); tell damaged.restarts $(show NRestarts)
rm -r /var/lib/leat; mv /var/lib/leat.good /var/lib/leat; systemctl reset-failed leat

/opt/leat/node_modules/.bin/node -e 'net.createServer().listen(8080, "127.0.0.1")' & taken=$!
systemctl start leat; until_is ActiveState failed
tell looping.exit $(show ExecMainStatus); tell looping.restarts $(show NRestarts)
tell looping.limit "$(journalctl -u leat --no-pager | grep -o 'Start request repeated too quickly' | head -1)"
kill $taken; systemctl reset-failed leat
systemctl start leat; tell healed.code $?; tell healed.post $(post)
journalctl -u leat --no-pager | sed 's/^/journal /'
`;

test("systemd starts, reloads, watches and restarts Leat, and leaves it where a restart heals nothing", {
  timeout: 600_000,
}, async (t) => {
  const packed = mkdtempSync(join(tmpdir(), "leat-systemd-"));
  t.after(() => rmSync(packed, { recursive: true, force: true }));
  execFileSync("npm", ["pack", "--silent", "--pack-destination", packed], { cwd: ROOT, stdio: "ignore" });
  const [archive = ""] = globSync(join(packed, "*.tgz"));
  const machine = makeMachine();
  t.after(() => machine.close());
  const opt = join(machine.root, "opt/leat");
  mkdirSync(opt, { recursive: true });
  execFileSync("npm", ["install", "--silent", "--prefix", opt, archive], { stdio: "ignore", cwd: packed });
  cpSync(UNIT, join(machine.root, "etc/systemd/system/leat.service"));
  cpSync(join(ROOT, "deploy/systemd/leat.sysusers.conf"), join(machine.root, "usr/lib/sysusers.d/leat.conf"));
  // What makes it quick; and a time to stop that is too short, were systemd not told of shutdown.timeout.
  write(
    join(machine.root, "etc/systemd/system/leat.service.d/quick.conf"),
    "[Service]\nWatchdogSec=8\nRestartSec=200ms\nTimeoutStopSec=1\n",
  );
  write(join(machine.root, "etc/leat/leat.yaml"), YAML);

  const began = performance.now();
  const printed = await machine.run(SCRIPT, 500_000);
  const journal = printed.split("\n").filter((line) => line.startsWith("journal "));
  const told = Object.fromEntries(
    printed
      .split("\n")
      .filter((line) => /^[a-z_.]+ /.test(line) && !line.startsWith("journal "))
      .map((line) => line.split(/ (.*)/s, 2)),
  ) as Record<string, string>;
  const refused = told["reload_bad.status"] ?? "";
  assert.match(
    refused,
    /^Running.*the last reload changed nothing: \/etc\/leat\/leat\.yaml:6:1: unknown key/,
  );
  assert.deepEqual(
    { ...told, "reload_bad.status": "" },
    {
      "start.code": "0",
      "start.state": "active",
      "start.status": "Running",
      user: "leat",
      folder: "700:leat,700:leat,",
      capabilities: "0000000000000000",
      seccomp: "2",
      "post.code": "200",
      "reload.code": "0",
      "reload_bad.code": "1",
      "reload_bad.pid": "same",
      "reload_bad.status": "",
      "misconfigured.exit": "2",
      "misconfigured.restarts": "0",
      "killed.before": "0",
      "killed.kept": "1",
      "killed.post": "200",
      "hung.journal": "Watchdog timeout",
      "hung.post": "200",
      "stop.code": "0",
      "stop.result": "success",
      "stop.exit": "0",
      "damaged.code": "1",
      "damaged.exit": "3",
      "damaged.restarts": "0",
      "looping.exit": "1",
      "looping.restarts": told["looping.restarts"],
      "looping.limit": "Start request repeated too quickly",
      "healed.code": "0",
      "healed.post": "200",
    },
    journal.join("\n"),
  );
  assert.ok(Number(told["looping.restarts"]) >= 5 && Number(told["looping.restarts"]) <= 10);
  recordLedger(t, {
    systemd: execFileSync("systemctl", ["--version"], { encoding: "utf8" }).split("\n")[0] ?? "",
    restarts_of_a_crash_loop: Number(told["looping.restarts"]),
    seconds: Math.round((performance.now() - began) / 1000),
  });
});
