/** What is done to a broker and to the way there while a bridge carries its load. Each returns figures for the ledger. */
import type { Ledger } from "../ledger.ts";
import type { Bridge } from "./bridge.ts";

/** What must have come out again before the next fault. */
const PROGRESS = 20;
/** A connection that is set up takes less than this, in bytes, with each of the protocols. */
const SET_UP_BYTES = 600;
const TRAFFIC_BYTES = 40_000;

/**
 * At least `cuts` resets of all connections at once: a third at any moment, a third after so few bytes that they hit a
 * connection that is being made, a third in the midst of traffic, mostly within a frame.
 */
export async function cutOften(
  { place: { proxy }, chance, ...bridge }: Bridge,
  cuts: number,
): Promise<Ledger> {
  let done = 0;
  while (done < cuts) {
    proxy.cut();
    await proxy.cutAfter(1 + chance.below(SET_UP_BYTES - 1));
    await bridge.progress(PROGRESS);
    await proxy.cutAfter(1 + chance.below(TRAFFIC_BYTES - 1));
    done += 3;
    // Connections that were never up for long are tried again ever later; so were they all cut young, nothing would come.
    await bridge.connected();
    await bridge.progress(PROGRESS);
  }
  return { cuts: done, connections: proxy.connections() };
}

/** The broker is stopped, as an operator does, and started again. */
export async function restartOften(bridge: Bridge, times: number): Promise<Ledger> {
  const { broker } = bridge.place;
  let slowestMs = 0;
  for (let n = 0; n < times; n++) {
    await broker.stop();
    await broker.start();
    const up = performance.now();
    await bridge.connected();
    await bridge.progress(PROGRESS);
    slowestMs = Math.max(slowestMs, performance.now() - up);
  }
  return { restarts: times, "slowest to flow again, ms": Math.round(slowestMs) };
}

/** The broker keeps its connections and answers nobody for `ms`. */
export async function freezeFor(bridge: Bridge, ms: number): Promise<Ledger> {
  const { broker } = bridge.place;
  broker.freeze();
  await new Promise((resolve) => setTimeout(resolve, ms));
  broker.thaw();
  const thawed = performance.now();
  await bridge.connected();
  await bridge.progress(PROGRESS);
  return { "frozen, ms": ms, "to flow again, ms": Math.round(performance.now() - thawed) };
}
