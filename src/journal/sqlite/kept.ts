/** The copies of events that dead letters, and replays of them, refer to. */

/** Removes the copy of one seq (the parameter) unless something refers to it. */
export const DELETE_UNUSED_COPY = `
  DELETE FROM kept WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM dead WHERE dead.seq = ?1)
  AND NOT EXISTS (SELECT 1 FROM dead WHERE dead.cause = ?1)
  AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.seq = ?1 AND replay > 0)`;
