/** Makes the hosts of sources and pushed sinks: what they share is the journal, the refusals and the counting. */
import type { PushedSinkHost, PushedSinkType, SourceType } from "../component.ts";
import type { Journal } from "../journal/journal.ts";
import type { Limits, SinkPlan, SourcePlan } from "../plan.ts";
import type { Clock, Logger } from "../ports.ts";
import { compileNaming } from "./naming.ts";
import type { OwnEvents } from "./own-events.ts";
import { createRefusals } from "./refusals.ts";
import { createSourceHost, type HostedSource, type IntakeCounter } from "./source-host.ts";
import { createStanding, type StandingRecord } from "./standings.ts";

/** A pushed sink's host, and what the daemon sees of the sink through it. */
export interface HostedSink {
  readonly host: PushedSinkHost;
  readonly standing: StandingRecord;
}

export interface Hosts {
  ofSource(plan: SourcePlan, type: Pick<SourceType, "connection" | "largeBodies">): HostedSource;
  ofSink(plan: SinkPlan, type: PushedSinkType): HostedSink;
}

export interface HostsOptions {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counter: IntakeCounter;
  readonly ownEvents: OwnEvents;
  limits(): Limits;
  /** A source stands otherwise with its broker than before. */
  onSourceStanding(): void;
  /** A pushed sink has its broker, for the first time or again. */
  onSinkConnected(sink: string): void;
}

export function createHosts(options: HostsOptions): Hosts {
  const { journal, clock, log, counter, ownEvents, limits, onSourceStanding, onSinkConnected } = options;
  const refusals = createRefusals({ history: journal.history, ...ownEvents, clock, counter });
  return {
    ofSource(plan, { connection, largeBodies = false }) {
      const ownLog = log.child({ source: plan.name });
      const naming = compileNaming(plan, clock, ownLog);
      const hasBroker = connection !== undefined;
      const standing = createStanding({ hasBroker, clock, log: ownLog, onChange: onSourceStanding });
      return createSourceHost({
        plan,
        journal,
        naming,
        refusals,
        standing,
        largeBodies,
        counter,
        limits,
        clock,
        log: ownLog,
      });
    },
    ofSink({ name }, { connection }) {
      const ownLog = log.child({ sink: name });
      const hasBroker = connection !== undefined;
      const onChange = () => {
        if (standing.status()?.state === "connected") onSinkConnected(name);
      };
      const standing = createStanding({ hasBroker, clock, log: ownLog, onChange });
      const host: PushedSinkHost = {
        name,
        clock,
        log: ownLog,
        stands: standing.stands,
        get answerBytes() {
          const { answerFailureBytes: failure, answerSuccessBytes: success } = limits();
          return { failure, success };
        },
      };
      return { host, standing };
    },
  };
}
