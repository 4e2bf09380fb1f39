import type { Statement, Storage } from "./storage.ts";

/** Prepares each statement of one storage when it is first asked for, and keeps it. */
export function statements(storage: Storage): (sql: string) => Statement {
  const prepared = new Map<string, Statement>();
  return (sql) => {
    let statement = prepared.get(sql);
    if (statement === undefined) prepared.set(sql, (statement = storage.prepare(sql)));
    return statement;
  };
}
