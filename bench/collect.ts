/** Loaded into a server under measurement: at SIGUSR2 it collects its garbage, so that what it holds can be told. */
process.on("SIGUSR2", () => {
  const { gc } = globalThis as { gc?: () => void };
  gc?.();
});
