/** For the image's HEALTHCHECK: 0 while the event loop and the journal's writer answer, 1 otherwise. */
const [port] = (process.env.LEAT_ADMIN ?? "127.0.0.1:8081").split(":").slice(-1);

fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(4_000) }).then(
  (answer) => process.exit(answer.ok ? 0 : 1),
  () => process.exit(1),
);
