/** The time that expressions and commits are measured by stands still within a step: how busy this machine is decides nothing. */
export function stillTime(monotonic: () => number): () => void {
  const real = performance.now;
  performance.now = monotonic;
  return () => {
    performance.now = real;
  };
}
