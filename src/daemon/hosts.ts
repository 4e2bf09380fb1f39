/** Makes the hosts of sources: what they share is the journal, the refusals and the counting. */
import type { PushedSinkHost, SourceHost } from "../component.ts";
import type { Journal } from "../journal/journal.ts";
import type { Limits, SourcePlan } from "../plan.ts";
import type { Clock, Logger } from "../ports.ts";
import { compileNaming } from "./naming.ts";
import { createOwnEvents } from "./own-events.ts";
import { createRefusals } from "./refusals.ts";
import { createSourceHost, type IntakeCounter } from "./source-host.ts";

export interface Hosts {
  sourceHost(this: void, plan: SourcePlan): SourceHost;
  answerBytes(this: void): PushedSinkHost["answerBytes"];
}

export interface HostsOptions {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counter: IntakeCounter;
  limits(): Limits;
}

export function createHosts({ journal, clock, log, counter, limits }: HostsOptions): Hosts {
  const raise = createOwnEvents(journal.log, clock, log);
  const { history } = journal;
  const refusals = createRefusals({ history, raise, clock, counter });
  return {
    answerBytes() {
      const { answerFailureBytes: failure, answerSuccessBytes: success } = limits();
      return { failure, success };
    },
    sourceHost(plan) {
      const ownLog = log.child({ source: plan.name });
      const naming = compileNaming(plan, clock, ownLog);
      return createSourceHost({ plan, journal, naming, refusals, counter, limits, clock, log: ownLog });
    },
  };
}
