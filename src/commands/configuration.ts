/** The configuration as every command reads it: the files it was given, this process's environment, routing's parsers. */
import { type ExpressionChecker, type LoadResult, loadConfig } from "../config/load.ts";
import { compileExpression } from "../routing/expression.ts";
import { compileMatch } from "../routing/match.ts";
import { compileTemplate } from "../routing/template.ts";
import { keepSecrets } from "../secrets.ts";

export const expressions: ExpressionChecker = {
  expression: (source) => compileExpression(source),
  template: (source) => compileTemplate(source),
  match: (match) => compileMatch(match),
};

export interface ConfigurationOptions {
  /** Settings on the command line: `["--log-level=debug"]`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** False for `--no-env`. */
  readonly readEnv?: boolean;
}

/**
 * `paths`: files and folders; none means the usual places. Reads files, never throws for what is in them. What is secret
 * in them is in nothing that this process writes from now on.
 */
export function readConfiguration(paths: readonly string[], options: ConfigurationOptions = {}): LoadResult {
  const { args = [], env = process.env, readEnv = true } = options;
  const loaded = loadConfig({ paths, args, env, readEnv, expressions });
  keepSecrets(loaded.secrets);
  return loaded;
}
