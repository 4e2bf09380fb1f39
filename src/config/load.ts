/**
 * From files, environment and arguments to settings and a plan, or to everything that is wrong with them.
 *
 *     files → YAML with places → put together → ${…} filled in → schema → expressions → seen as a whole
 *
 * What is wrong at one stage doesn't keep the later ones from looking at the rest: all problems come at once.
 */
import { sinkTypes, sourceTypes } from "../components.ts";
import type { Plan, RetentionPlan, Settings } from "../plan.ts";
import { checkWhole } from "./checks.ts";
import { object } from "./fields.ts";
import { findFiles, NAMED_SECTIONS, readFiles } from "./files.ts";
import type { FillSources } from "./fill.ts";
import { type Problem, Problems, suggest } from "./problem.ts";
import { readSinks, readSources } from "./read-components.ts";
import { Connections } from "./read-connections.ts";
import { readRoutes } from "./read-routes.ts";
import { type ExpressionChecker, Reader } from "./reader.ts";
import { type Components, retentionSchema } from "./schema.ts";
import { readSettings, settingsFields } from "./settings.ts";
import { isMap } from "./walk.ts";

export type { Problem } from "./problem.ts";
export { formatProblem } from "./problem.ts";
export type { ExpressionChecker } from "./reader.ts";

export interface LoadOptions {
  /** Files and folders; none: `./leat.yaml`, then `/etc/leat/leat.yaml`. */
  readonly paths: readonly string[];
  /** Settings on the command line, as `--log-level=debug`; what isn't a setting is left alone. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** False: variables and secret files are taken as unknown, for checks where there are none. The plan isn't for use. */
  readonly readEnv: boolean;
  readonly expressions: ExpressionChecker;
  /** Left out: those of `components.ts`. */
  readonly components?: Components;
}

interface Looked {
  readonly files: readonly string[];
  /** Every secret that was met, also where something else is wrong: for `keepSecrets`, never to be shown. */
  readonly secrets: readonly string[];
}

export type LoadResult =
  | (Looked & {
      readonly ok: true;
      readonly settings: Settings;
      readonly plan: Plan;
      readonly warnings: readonly Problem[];
    })
  | (Looked & {
      readonly ok: false;
      readonly problems: readonly Problem[];
      /** Where all that is wrong is in sources, sinks, routes or retention: for commands that only look for the daemon. */
      readonly settings: Settings | null;
    });

export function loadConfig(options: LoadOptions): LoadResult {
  const problems = new Problems();
  const files = findFiles(options.paths, problems);
  const merged = readFiles(files, problems);
  const failure = (settings: Settings | null): LoadResult => {
    return { ok: false, problems: problems.sorted(files), settings, files, secrets: problems.secrets };
  };
  if (!merged) return failure(null);

  const from: FillSources = { env: options.env, readEnv: options.readEnv };
  const reader = new Reader(merged, problems, from, options.expressions);
  const components = options.components ?? { sources: sourceTypes, sinks: sinkTypes };
  checkSections(reader);
  const settings = readAllSettings(reader, options.args);
  // Asked before the rest is read: a section that isn't known may be a slip for one of theirs, or a value a stand-in.
  const sound = problems.failed ? null : settings;
  const retention = readRetention(reader);
  const connections = new Connections(reader, components);
  const sources = readSources(reader, components, connections);
  const sinks = readSinks(reader, components, connections);
  const routes = readRoutes(reader, { sources, sinks }, components.sinks);
  checkWhole(reader, { sources, sinks }, routes, settings);
  if (!problems.failed) connections.warnOfUnused();

  if (problems.failed || !settings || !retention) return failure(sound);
  const plan: Plan = { sources: plans(sources), sinks: plans(sinks), routes: plans(routes), retention };
  return { ok: true, settings, plan, warnings: problems.sorted(files), files, secrets: problems.secrets };
}

function plans<P>(read: readonly { readonly plan: P | null }[]): P[] {
  return read.flatMap(({ plan }) => (plan === null ? [] : [plan]));
}

const SECTIONS = [...Object.keys(settingsFields), "retention", ...NAMED_SECTIONS];

function checkSections(reader: Reader): void {
  const { merged, problems } = reader;
  for (const [section, value] of Object.entries(merged.value)) {
    if (!SECTIONS.includes(section)) {
      const remedy = suggest(section, SECTIONS) ?? "keys of your own begin with x-";
      problems.error(merged.place([section], "key"), `unknown key "${section}"`, remedy);
    } else if (value !== null && !isMap(value)) reader.error([section], "is not a map");
  }
  const routes = merged.value.routes;
  if (isMap(routes) && Object.keys(routes).length > 0) return;
  const [place] = [merged.place([])];
  problems.warn(place, "there is no route", "nothing is delivered until one leads from a source to a sink");
}

function readAllSettings(reader: Reader, args: readonly string[]): Settings | null {
  const written = sectionsOf(reader, Object.keys(settingsFields));
  const filled = reader.fill(object(settingsFields), written, []);
  return readSettings({ filled, args, from: reader.from }, reader.merged, reader.problems);
}

function readRetention(reader: Reader): RetentionPlan | null {
  const { retention } = sectionsOf(reader, ["retention"]);
  const { data } = reader.parse(retentionSchema, retention, ["retention"]);
  if (!data) return null;
  const { age, size, dead } = data;
  return { ageMs: age, bytes: size, dead: { ageMs: dead.age, bytes: dead.size } };
}

/** The sections that hold a map; one that holds nothing is left out, one that holds anything else has been reported. */
function sectionsOf(reader: Reader, sections: readonly string[]): Record<string, unknown> {
  const written = sections.map((section): [string, unknown] => [section, reader.merged.value[section]]);
  return Object.fromEntries(written.filter(([, value]) => isMap(value)));
}
