/** From who a reader is to what it may do: the sink's `channels` and `publish`, filled in with its claims. Pure. */
import { covers } from "../../../pattern.ts";
import type { SlowPolicy } from "../backlog.ts";
import type { Admission, ChannelGrant, Claims, Identity } from "./admission.ts";
import { type ClaimTemplate, compileClaimTemplate } from "./claims.ts";

/** An entry as the configuration has it: a name alone, or what it says beside it. */
export type ChannelEntry =
  | string
  | {
      readonly name: string;
      readonly ephemeral?: boolean | undefined;
      readonly presence?: boolean | undefined;
      readonly slow?: SlowPolicy | undefined;
    };

interface CompiledEntry extends Omit<ChannelGrant, "name"> {
  readonly template: ClaimTemplate;
}

export class GrantBook {
  readonly #channels: readonly CompiledEntry[];
  readonly #publish: readonly ClaimTemplate[];
  /** Where no entry asks for a claim, all readers share one list. */
  readonly #fixed: { readonly channels: readonly ChannelGrant[]; readonly publish: readonly string[] } | null;

  constructor(channels: readonly ChannelEntry[], publish: readonly string[]) {
    this.#channels = channels.map((entry) => {
      const { name, ephemeral = false, presence = false, slow = null } = plain(entry);
      return { template: compileClaimTemplate(name), ephemeral, presence, slow };
    });
    this.#publish = publish.map(compileClaimTemplate);
    const templates = [...this.#channels.map(({ template }) => template), ...this.#publish];
    this.#fixed = templates.some(({ dynamic }) => dynamic) ? null : this.#fill({});
  }

  /** `denied`: names revoked for this user. */
  admission({ user, claims, expiresAt, channels, publish }: Identity, denied: readonly string[]): Admission {
    const own = this.#fixed ?? this.#fill(claims);
    return {
      user,
      claims,
      expiresAt,
      channels: channels === null ? own.channels : within(own.channels, channels),
      publish: publish === null ? own.publish : publish.filter((name) => coveredBy(own.publish, name)),
      denied,
    };
  }

  #fill(claims: Claims) {
    return {
      channels: this.#channels.flatMap(({ template, ...entry }) =>
        template.fill(claims).map((name): ChannelGrant => ({ name, ...entry })),
      ),
      publish: this.#publish.flatMap((template) => template.fill(claims)),
    };
  }
}

/** What the judge lists, as far as the configuration covers it; what a channel is beside its name, the entry says. */
function within(own: readonly ChannelGrant[], listed: readonly string[]): ChannelGrant[] {
  return listed.flatMap((name) => {
    const entry = own.find((grant) => covers(grant.name, name));
    return entry === undefined ? [] : [{ ...entry, name }];
  });
}

function coveredBy(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => covers(pattern, name));
}

function plain(entry: ChannelEntry): Exclude<ChannelEntry, string> {
  return typeof entry === "string" ? { name: entry } : entry;
}
