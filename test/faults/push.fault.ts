/** Thousands of readers of a stream: some take nothing, and all lose the daemon at once. */
import { test } from "node:test";
import { stalledTenth, storm } from "./push-run.ts";

const CLIENTS = Number(process.env.LEAT_CLIENTS ?? 5000);
const READERS = Number(process.env.LEAT_READERS ?? 2000);

for (const kind of ["sse", "websocket"] as const) {
  test(`${kind}: ${CLIENTS} readers lose nothing and get nothing twice over three kill -9, though all come back at once`, async (t) => {
    await storm(t, { clients: CLIENTS, kind });
  });

  test(`${kind}: a tenth of ${READERS} readers take nothing: memory is bounded, the others' p99 unharmed, nothing lost`, async (t) => {
    await stalledTenth(t, { readers: READERS, kind });
  });
}
