/**
 * The receivers of the pushed sinks: each answers when the simulation lets it, with what chance gives. What reaches them
 * is held against the truth, and so is when it reaches them.
 */
import assert from "node:assert/strict";
import type { Message, PushedSink, Report } from "../../src/component.ts";
import type { RetryPolicy, SinkPolicy } from "../../src/plan.ts";
import type { Clock } from "../../src/ports.ts";
import type { SeededChance } from "../journal/simulation/chance.ts";
import type { Configuration } from "./configuration.ts";
import { turnOfTheLoop } from "./machine.ts";
import type { Owed, Tried } from "./owed.ts";
import { SinkTruth } from "./sink-truth.ts";
import type { Known, Truth } from "./truth.ts";

/** How long an attempt is waited for after it was told to give up. */
const GRACE_MS = 2000;

interface Request {
  readonly message: Message;
  readonly sink: string;
  readonly owed: Owed;
  readonly tried: Tried;
  readonly policies: readonly SinkPolicy[];
  readonly probe: boolean;
  readonly answer: (report: Report) => void;
  over: boolean;
}

export class Receivers {
  /** Everybody answers well: faults have ended. */
  kind = false;
  readonly sinks = new Map<string, SinkTruth>();
  /** Requests that were answered, by what came of them. */
  readonly outcomes = new Map<string, number>();
  readonly #truth: Truth;
  readonly #clock: Clock;
  readonly #chance: SeededChance;
  readonly #steady: () => boolean;
  #requests: Request[] = [];

  /** `steady`: the wall clock was never set. */
  constructor(truth: Truth, clock: Clock, chance: SeededChance, steady: () => boolean) {
    this.#truth = truth;
    this.#clock = clock;
    this.#chance = chance;
    this.#steady = steady;
    truth.sinkKept = (sink, state) => {
      const now = clock.monotonic();
      if (steady()) this.of(sink).kept(state, now, clock.wall() - now);
    };
  }

  get waiting(): number {
    return this.#requests.length;
  }

  /** The sink of this name in one life. */
  sink(name: string, alive: () => boolean): PushedSink {
    return {
      start: async () => {},
      stop: async () => {},
      deliver: (message, signal) => {
        if (!alive()) return new Promise(() => {});
        return this.#truth.holdsThat(() => this.#deliver(name, message, signal, alive));
      },
    };
  }

  /** A new process: nobody waits for the answers to the old one. Its sinks' states are what is on disk. */
  restarted(): void {
    this.#requests = [];
    for (const [name, sink] of this.sinks) {
      sink.restarted(this.#truth.sinks.get(name), this.#clock.monotonic(), this.#clock.wall());
    }
  }

  /** The wall clock was set. */
  stepped(): void {
    for (const sink of this.sinks.values()) sink.stepped(this.#clock.monotonic(), this.#clock.wall());
  }

  of(name: string): SinkTruth {
    let sink = this.sinks.get(name);
    if (sink === undefined) this.sinks.set(name, (sink = new SinkTruth(name)));
    return sink;
  }

  // ------------------------------------------------------------------------------------------------ what reaches them

  #deliver(name: string, message: Message, signal: AbortSignal, alive: () => boolean): Promise<Report> {
    const now = this.#clock.monotonic();
    const { seq } = message.event;
    const shown = `${message.subscription} ${seq}/${message.replay} attempt ${message.attempt}`;
    const owed = this.#truth.subscription(message.subscription);
    assert.ok(owed !== undefined, `nobody knows ${shown}`);
    const event = this.#truth.events.get(seq);
    assert.ok(event !== undefined, `J1: ${shown} was never committed`);
    const tried = owed.at(seq, message.replay);
    this.#checkDue(owed, tried, message, now, shown);
    this.#checkMade(event, message, name, shown);
    if (message.replay === 0) this.#checkOrder(owed, event, shown);
    const policies = this.#policies(name);
    const probe = this.of(name).starts(now, policies, shown);
    tried.phase = "out";
    tried.firstAt ??= now;
    return new Promise((resolve) => {
      const request: Request = {
        ...{ message, sink: name, owed, tried, policies, probe },
        answer: resolve,
        over: false,
      };
      this.#requests.push(request);
      signal.addEventListener("abort", () => {
        if (alive()) this.#aborted(request, signal);
      });
    });
  }

  #checkDue(owed: Owed, tried: Tried, message: Message, now: number, shown: string): void {
    const { event, replay, attempt } = message;
    if (replay === 0) assert.ok(owed.owes(event.seq), `${shown} is not owed`);
    else assert.ok(owed.replays.has(`${event.seq}/${replay}`), `${shown}: nobody asked for that replay`);
    assert.notEqual(tried.phase, "out", `${shown} is under way already`);
    assert.ok(tried.phase !== "done" && tried.phase !== "dead", `${shown} is settled`);
    if (tried.phase === "waiting") {
      assert.ok(now >= tried.dueAt - 1, `J7: ${shown} comes ${tried.dueAt - now} ms too early`);
    }
    assert.equal(attempt, tried.attempts + 1, `J7: ${shown}: it was tried ${tried.attempts} times`);
    assert.ok(replay > 0 || event.seq > owed.letGoThrough, `${shown} was purged`);
  }

  /** J4, J8: the event is as it was stored, and what is sent is made of it by the routes as they are. */
  #checkMade({ id, source, key, body, seq }: Known, message: Message, sink: string, shown: string): void {
    const { event, route } = message;
    assert.deepEqual([event.id, event.source, event.key], [id, source, key], `J4: ${shown}`);
    assert.equal(Buffer.from(event.body).toString(), body, `J8: ${shown}: the stored event has changed`);
    const known = this.#truth.events.get(seq)!;
    const expected = this.#truth.expected(route, sink, known, this.#truth.holding);
    const sent = Buffer.from(message.body).toString();
    const fits = expected.some((each) => each?.result === "message" && each.body === sent);
    assert.ok(fits, `J8: ${shown} by ${route} sends ${sent}, of ${JSON.stringify(expected)}`);
  }

  #checkOrder(owed: Owed, { seq, key }: Known, shown: string): void {
    if (key === null || !this.#truth.inForce().every((each) => orderOf(each, owed) === "key")) return;
    const before = owed.before(seq, key);
    assert.deepEqual(before, [], `${shown} goes before ${before} of its key ${key}`);
    const held = owed.heldBy(seq, key);
    assert.equal(held, null, `${shown} goes though ${held}, dead, keeps its key ${key}`);
  }

  #policies(sink: string): SinkPolicy[] {
    return this.#truth.inForce().flatMap(({ policies }) => policies.get(sink) ?? []);
  }

  // ------------------------------------------------------------------------------------------------ what they answer

  /** One of those that wait is answered. */
  answer(): void {
    if (this.#requests.length === 0) return;
    const [request] = this.#requests.splice(this.#chance.below(this.#requests.length), 1);
    if (request !== undefined && !request.over) this.#answer(request, this.#report(request.message));
  }

  /** All that wait now, one after the other. */
  async answerAll(): Promise<void> {
    for (let waiting = this.#requests.length; waiting > 0; waiting--) {
      this.answer();
      await turnOfTheLoop();
    }
  }

  #report({ event, subscription }: Message): Report {
    const yes: Report = { result: "delivered", status: 200 };
    const reply = subscription.includes("/billing") &&
      event.source !== "leat" && {
        reply: { contentType: "application/json", body: event.body, truncated: false },
      };
    const dice = this.kind ? 0 : this.#chance.random();
    if (dice < 0.6) return { ...yes, ...(reply || {}) };
    if (dice < 0.75) return failed("status", { status: 500 });
    if (dice < 0.8) return failed("status", { status: 429, retryAfterMs: 1000 * this.#chance.below(8) });
    if (dice < 0.84) return failed("status", { status: 503, retryAfterMs: 3000 });
    if (dice < 0.9) return failed("reset");
    if (dice < 0.96) return failed("status", { status: 422 });
    if (dice < 0.97) return failed("status", { status: 410, gone: true });
    if (dice < 0.98) return { result: "rejected", error: "header", message: "not to be sent" };
    return failed("status", { status: 302 });
  }

  #answer(request: Request, report: Report): void {
    this.#ended(request, report);
    request.answer(report);
  }

  /** The sink was told to give up: by a time-out, or by the end of the process. */
  #aborted(request: Request, { reason }: AbortSignal): void {
    if (request.over) return;
    if ((reason as { why?: string }).why === "stop") {
      request.over = true;
      request.tried.phase = "open";
      this.of(request.sink).handedBack(request.probe);
      request.answer(failed("closed"));
      return;
    }
    const report = failed("timeout");
    if (this.#chance.odds(0.8)) this.#answer(request, report);
    // A sink that is slow to give up.
    else this.#clock.after(this.#chance.below(GRACE_MS), () => request.over || this.#answer(request, report));
  }

  #ended(request: Request, report: Report): void {
    const { message, sink, owed, tried, policies, probe } = request;
    request.over = true;
    const now = this.#clock.monotonic();
    tried.attempts++;
    const phases = new Set(policies.map((policy) => this.#verdict(policy, report, request, now)));
    const [phase] = phases;
    tried.phase = phases.size === 1 && phase !== undefined ? phase : "either";
    if (report.result === "delivered") {
      tried.yes = true;
      if (message.replay > 0) owed.at(message.event.seq, 0).holds = false;
    } else if (report.result === "failed") {
      tried.dueAt = now + Math.min(...policies.map(({ retry }) => leastWait(retry, tried.attempts, report)));
    }
    const hold = policies.every(({ order, onDead }) => order === "key" && onDead === "hold");
    tried.holds = tried.phase === "dead" && hold && message.replay === 0 && owed.definition.onDead === "hold";
    this.of(sink).learns(report, probe, now, policies);
    this.outcomes.set(tried.phase, (this.outcomes.get(tried.phase) ?? 0) + 1);
  }

  #verdict(
    { retry, order }: SinkPolicy,
    report: Report,
    { message, tried }: Request,
    now: number,
  ): Tried["phase"] {
    if (report.result === "delivered") return "done";
    if (report.result === "rejected" || report.gone) return "dead";
    const keyed = message.event.key !== null && order === "key";
    const { status } = report;
    if (status !== undefined && (keyed ? retry.deadOn.keyed : retry.deadOn.unkeyed).includes(status))
      return "dead";
    if (retry.maxAttempts !== null && tried.attempts >= retry.maxAttempts) return "dead";
    if (retry.scheduleMs !== null && tried.attempts > retry.scheduleMs.length) return "dead";
    const age = now - (tried.firstAt ?? now);
    const most = keyed ? retry.maxAgeMs.keyed : retry.maxAgeMs.unkeyed;
    // Across a restart a step of the clock can't be told from the time that went by.
    if (!this.#steady() || Math.abs(age - most) < 10)
      return age >= most - 10 || !this.#steady() ? "either" : "waiting";
    return age >= most ? "dead" : "waiting";
  }
}

function failed(error: string, more: object = {}): Extract<Report, { result: "failed" }> {
  return { result: "failed", error, message: `simulated: ${error}`, ...more };
}

/** No retry comes earlier after the nth attempt. */
function leastWait(
  { initialMs, factor, maxWaitMs, jitter, scheduleMs }: RetryPolicy,
  attempt: number,
  { retryAfterMs = 0 }: Extract<Report, { result: "failed" }>,
): number {
  const wait = scheduleMs?.[attempt - 1] ?? Math.min(initialMs * factor ** (attempt - 1), maxWaitMs);
  return Math.max(Math.floor(wait * (1 - jitter)), Math.min(retryAfterMs, maxWaitMs));
}

function orderOf(configuration: Configuration, { definition }: Owed): string | undefined {
  return configuration.policies.get(definition.sink)?.order;
}
