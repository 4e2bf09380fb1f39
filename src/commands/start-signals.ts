/**
 * Signals while a daemon starts, from its first line until it lives: without handlers SIGHUP would end it, and the first
 * process of a container would ignore SIGTERM.
 *
 * - SIGTERM, SIGINT: nothing has been promised yet, so it leaves at once, with 0.
 * - SIGHUP: remembered. What has been read by then may be what was to be replaced.
 *
 * Imports nothing, so that it is there before what takes its time to load.
 */

export interface StartSignals {
  /** Hands over to whoever has set handlers of his own; true where SIGHUP came. */
  end(): boolean;
}

let watching: StartSignals | null = null;

/** Begins to watch, or gives what watches already. */
export function watchStart(): StartSignals {
  if (watching !== null) return watching;
  let hungUp = false;
  const leave = () => process.exit(0);
  const remember = () => {
    hungUp = true;
  };
  process.on("SIGTERM", leave).on("SIGINT", leave).on("SIGHUP", remember);
  watching = {
    end() {
      process.off("SIGTERM", leave).off("SIGINT", leave).off("SIGHUP", remember);
      watching = null;
      return hungUp;
    },
  };
  return watching;
}
