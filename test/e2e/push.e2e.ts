/** The short form of test/faults/push.fault.ts. */
import { test } from "node:test";
import { stalledTenth, storm } from "../faults/push-run.ts";

for (const kind of ["sse", "websocket"] as const) {
  test(`${kind}: 300 readers lose nothing and get nothing twice over two kill -9, though all come back at once`, async (t) => {
    await storm(t, { clients: 300, kills: 2, kind });
  });

  test(`${kind}: a tenth of 200 readers take nothing: memory is bounded, the others' p99 unharmed, nothing lost`, async (t) => {
    await stalledTenth(t, { readers: 200, seconds: 6, kind });
  });
}
