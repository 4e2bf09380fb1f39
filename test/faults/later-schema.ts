/** A Leat of later: steps of the schema that this one doesn't have, for `PlantedSql.migrations`. */

/** The statement that each of them begins with, as a regular expression. */
export const STEP_BEGINS = "^CREATE TABLE later";

/** The `n`th step, from 1: it reads all events and writes as many rows. */
export function laterStep(n: number): string {
  return `CREATE TABLE later_${n} (seq INTEGER PRIMARY KEY, bytes INTEGER NOT NULL) STRICT;
   INSERT INTO later_${n} SELECT seq, length(body) FROM event;
   CREATE INDEX later_${n}_bytes ON later_${n} (bytes)`;
}
