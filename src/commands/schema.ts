/** `leat schema`: the JSON Schema of the configuration, for editors and other programs. */
import type { Command } from "commander";
import { sinkTypes, sourceTypes } from "../components.ts";
import { jsonSchema } from "../config/json-schema.ts";

export function schemaCommand(program: Command): void {
  program
    .command("schema")
    .description("print the JSON Schema of the configuration")
    .action(() => {
      const schema = jsonSchema({ sources: sourceTypes, sinks: sinkTypes });
      process.stdout.write(`${JSON.stringify(schema, null, 2)}\n`);
    });
}
