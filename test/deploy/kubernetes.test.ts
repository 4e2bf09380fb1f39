/** The Kubernetes manifests against each other, the image and what Leat does. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { readConfiguration } from "../../src/commands/configuration.ts";
import { formatProblem, type LoadResult } from "../../src/config/load.ts";
import { ROOT } from "./unit-file.ts";

const FOLDER = join(ROOT, "deploy/kubernetes");

interface Named {
  readonly name: string;
}

interface Container extends Named {
  readonly image: string;
  readonly ports: readonly (Named & { readonly containerPort: number })[];
  readonly env: readonly { readonly valueFrom: { readonly secretKeyRef: { name: string; key: string } } }[];
  readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly securityContext: Record<string, unknown>;
  readonly volumeMounts: readonly (Named & { readonly mountPath: string; readonly subPath?: string })[];
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly failureThreshold: number;
}

interface Pod {
  readonly terminationGracePeriodSeconds: number;
  readonly automountServiceAccountToken: boolean;
  readonly securityContext: Record<string, unknown>;
  readonly containers: readonly [Container];
  readonly volumes: readonly Named[];
}

interface Manifest {
  readonly kind: string;
  readonly metadata: Named;
  readonly data: Record<string, string>;
  readonly stringData: Record<string, string>;
  readonly spec: {
    readonly replicas: number;
    readonly serviceName: string;
    readonly template: { readonly metadata: { readonly labels: Record<string, string> }; readonly spec: Pod };
    readonly volumeClaimTemplates: readonly { readonly metadata: Named; readonly spec: Claim }[];
    readonly selector: Record<string, string>;
    readonly ports: readonly { readonly targetPort: string }[];
  };
}

interface Claim {
  readonly resources: { readonly requests: { readonly storage: string } };
}

const { resources } = parse(readFileSync(join(FOLDER, "kustomization.yaml"), "utf8")) as {
  resources: readonly string[];
};
const manifests = resources.flatMap((file) =>
  parseAllDocuments(readFileSync(join(FOLDER, file), "utf8")).map((document) => document.toJS() as Manifest),
);

function manifest(kind: string, name = "leat"): Manifest {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name);
  assert.ok(found !== undefined, `${kind} ${name}`);
  return found;
}

const set = manifest("StatefulSet").spec;
const pod = set.template.spec;
const [container] = pod.containers;
const written = manifest("ConfigMap").data["leat.yaml"] ?? "";
const image = readFileSync(join(ROOT, "deploy/docker/Dockerfile"), "utf8");
const MiB = 1024 ** 2;

/** As the pod has it: the secrets' files where the configuration looks for them, each with this in it. */
function configured(values: Record<string, string>): LoadResult {
  const folder = mkdtempSync(join(tmpdir(), "leat-kubernetes-"));
  try {
    const secrets = join(folder, "secrets");
    mkdirSync(secrets);
    for (const [name, value] of Object.entries(values)) writeFileSync(join(secrets, name), value);
    const file = join(folder, "leat.yaml");
    writeFileSync(file, written.replaceAll("/run/secrets/leat", secrets));
    const env = Object.fromEntries(
      [...image.matchAll(/^ +(LEAT_\w+)=(\S+)|^ENV (LEAT_\w+)=(\S+)/gm)].map(([, name, value]) => [
        name,
        value,
      ]),
    ) as Record<string, string>;
    assert.equal(env.LEAT_ADMIN, "0.0.0.0:8081");
    return readConfiguration([file], { env: { ...env, LEAT_ADMIN_TOKEN: values.admin_token ?? "" } });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const secrets = Object.keys(manifest("Secret").stringData);
const whsec = `whsec_${Buffer.alloc(24, "k").toString("base64")}`;
const result = configured(Object.fromEntries(secrets.map((name) => [name, whsec])));

test("every manifest in the folder is applied", () => {
  const files = readdirSync(FOLDER).filter((file) => file !== "kustomization.yaml");
  assert.deepEqual([...resources].toSorted(), files.toSorted());
});

test("the embedded configuration has nothing wrong with it once the secrets are there", () => {
  assert.deepEqual((result.ok ? result.warnings : result.problems).map(formatProblem), []);
});

test("with the placeholders for secrets nothing starts", () => {
  const empty = configured(Object.fromEntries(secrets.map((name) => [name, ""])));
  assert.ok(!empty.ok);
  const problems = empty.problems.map(formatProblem).join("\n");
  for (const name of ["stripe.*secret", "billing.*secret", "admin"]) assert.match(problems, new RegExp(name));
});

test("the grace period holds preStop, the whole shutdown and something to spare", () => {
  assert.ok(result.ok);
  const [command, seconds] = container.lifecycle.preStop.exec.command;
  assert.equal(command, "sleep");
  const { delayMs, timeoutMs } = result.settings.shutdown;
  const needed = Number(seconds) + timeoutMs / 1000;
  assert.ok(pod.terminationGracePeriodSeconds >= needed + 10, `${needed} s are needed`);
  assert.ok(timeoutMs - delayMs >= 30_000, "what is under way has its time");
});

test("ports, probes and services name each other", () => {
  const ports = new Map(container.ports.map(({ name, containerPort }) => [name, containerPort]));
  assert.ok(result.ok);
  assert.equal(result.settings.server.listen, `0.0.0.0:${ports.get("http")}`);
  assert.equal(result.settings.server.admin, `0.0.0.0:${ports.get("admin")}`);
  assert.match(image, new RegExp(`^EXPOSE ${ports.get("http")} ${ports.get("admin")}$`, "m"));
  const { startupProbe, livenessProbe, readinessProbe } = container;
  for (const [probe, path] of [
    [startupProbe, "/healthz"],
    [livenessProbe, "/healthz"],
    [readinessProbe, "/readyz"],
  ] as const) {
    assert.deepEqual(probe.httpGet, { path, port: "admin" });
    assert.ok(probe.timeoutSeconds > 2, "/healthz gives the writer 2 s");
  }
  assert.ok(startupProbe.periodSeconds * startupProbe.failureThreshold >= 300, "a long recovery");
  assert.ok(livenessProbe.periodSeconds * livenessProbe.failureThreshold >= 60, "a slow disk's moment");
  for (const service of manifests.filter(({ kind }) => kind === "Service")) {
    assert.deepEqual(service.spec.selector, set.template.metadata.labels);
    for (const { targetPort } of service.spec.ports) assert.ok(ports.has(targetPort), targetPort);
  }
  assert.ok(manifest("Service", set.serviceName));
});

test("one pod, no root, nothing writable but the journal's volume and /tmp", () => {
  assert.equal(set.replicas, 1);
  assert.equal(pod.automountServiceAccountToken, false);
  assert.equal(pod.securityContext.runAsNonRoot, true);
  assert.match(
    image,
    new RegExp(`^USER ${pod.securityContext.runAsUser}:${pod.securityContext.fsGroup}$`, "m"),
  );
  assert.equal(container.securityContext.readOnlyRootFilesystem, true);
  assert.equal(container.securityContext.allowPrivilegeEscalation, false);
  assert.deepEqual(container.securityContext.capabilities, { drop: ["ALL"] });
});

test("volumes and secrets are where the configuration and the image look for them", () => {
  assert.ok(result.ok);
  const volumes = [...pod.volumes, ...set.volumeClaimTemplates.map(({ metadata }) => metadata)];
  const mounts = new Map(container.volumeMounts.map((mount) => [mount.name, mount]));
  assert.deepEqual([...mounts.keys()].toSorted(), volumes.map(({ name }) => name).toSorted());
  assert.ok(result.settings.journal.path.startsWith(`${mounts.get("journal")?.mountPath}/`));
  assert.match(image, new RegExp(`"${mounts.get("config")?.mountPath}/leat\\.yaml"`));
  for (const { subPath } of mounts.values()) assert.equal(subPath, undefined, "it would never change");
  for (const [, name = ""] of written.matchAll(/\$\{file:\/run\/secrets\/leat\/(\w+)\}/g)) {
    assert.ok(secrets.includes(name), name);
  }
  for (const { valueFrom } of container.env) assert.ok(secrets.includes(valueFrom.secretKeyRef.key));
});

test("the journal's bound leaves room on its volume", () => {
  assert.ok(result.ok);
  const { storage } = set.volumeClaimTemplates[0]?.spec.resources.requests ?? { storage: "" };
  const gibibytes = Number(/^(\d+)Gi$/.exec(storage)?.[1]);
  const { bytes, dead } = result.plan.retention;
  const { watermark } = result.settings.journal;
  const volume = gibibytes * 1024 * MiB;
  const free = Math.min(watermark.share * volume, watermark.bytes);
  assert.ok(
    volume - free >= 1.25 * (bytes + dead.bytes),
    "with its indexes and what a file keeps of free pages",
  );
});
