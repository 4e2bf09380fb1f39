/** A daemon with a defect: once it runs and has taken an event, something throws where nobody catches it. */
import { readConfiguration } from "../../src/commands/configuration.ts";
import { runDaemon } from "../../src/commands/lifetime.ts";

const [file = "", how] = process.argv.slice(2);

await runDaemon(
  () => readConfiguration([file]),
  ({ url }) => {
    // Unanswered on purpose: what waits for its commit is to be committed all the same.
    void fetch(`${url}/in`, { method: "POST", body: "{}" }).then(() => {
      if (how === "rejection") void Promise.reject(new TypeError("nobody handles this"));
      else
        setImmediate(() => {
          throw new TypeError("nobody catches this");
        });
    });
  },
);
