/**
 * The field kit: the kinds of field that sources, sinks and settings are made of.
 *
 * A component's schema is `object({ … })` of these. Give every field a `.describe("…")`, what is optional
 * `.optional()`, and a default by `.prefault("10s")`, which takes what a person would write (zod's own `.default` takes
 * what the field makes of it, and is for plain numbers, enums and booleans). From the same schemas come the types, the
 * messages of `leat validate`, the JSON Schema, `leat init` and the reference pages.
 *
 * A check of a component's own goes into `.check(…)`/`.refine(…)` with a message that doesn't repeat the value: it may
 * be a secret. A remedy is passed in `params: { remedy: "…" }`.
 */
import { z } from "zod";

/** What the generators and the checks know of a field beyond zod's own; read by `flagsOf` in `walk.ts`. */
export interface FieldFlags {
  /** What it takes, with its article: "a duration". Goes into messages: "is not a duration". */
  readonly expects?: string;
  /** As people write it. */
  readonly examples?: readonly string[];
  /** Never echoed, never logged. */
  readonly secret?: true;
  /** A string that may hold `{{ … }}`. */
  readonly template?: true;
  /** JSONata: `${…}` isn't filled in there. */
  readonly expression?: true;
  /** The path of an endpoint on the public listener: no two may be in each other's way. */
  readonly endpoint?: true;
}

export const flags = z.registry<FieldFlags>();

function flagged<T extends z.ZodType>(schema: T, fieldFlags: FieldFlags): T {
  flags.add(schema, fieldFlags);
  return schema;
}

/** A map with exactly these keys; an unknown one is an error. */
export const object = z.strictObject;

/** Text as it stands, not empty. */
export const text = () => flagged(z.string().min(1), { expects: "text" });

/** One of these words. */
export function oneOf<const T extends readonly [string, ...string[]]>(words: T) {
  return z.enum(words);
}

export const flag = () => z.boolean();

/** A whole number within bounds, both included. */
export function integer(min: number, max: number) {
  return flagged(z.int().min(min).max(max), { expects: `a whole number from ${min} to ${max}` });
}

/** Any number within bounds, both included. */
export function number(min: number, max: number) {
  return flagged(z.number().min(min).max(max), { expects: `a number from ${min} to ${max}` });
}

/** One of something, or a list of it; a list either way for the code. */
export function oneOrList<T extends z.ZodType>(item: T) {
  const list = z.array(item).min(1);
  return flagged(
    z.union([item, list]).transform((value): z.output<T>[] => {
      return (Array.isArray(value) ? value : [value]) as z.output<T>[];
    }),
    flags.get(item) ?? {},
  );
}

// ------------------------------------------------------------------------------------------------------- with a unit

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;
const SIZE = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|TiB)$/;
const RATE = /^(\d+)\/(s|m|h)$/;
const SHARE = /^(\d+(?:\.\d+)?)%$/;
const MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const BYTES: Record<string, number> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

/** `250ms`, `5s`, `15m`, `2h`, `7d` as milliseconds; null when it is none. */
export function parseDuration(written: string): number | null {
  return scaled(DURATION.exec(written), MS);
}

/** `512B`, `64KiB`, `1MiB`, `10GiB`, `1TiB` as bytes; null when it is none. */
export function parseSize(written: string): number | null {
  return scaled(SIZE.exec(written), BYTES);
}

/** `100/s`, `10/m`, `5/h`; null when it is none. A rate of nothing is none. */
export function parseRate(written: string): { count: number; perMs: number } | null {
  const found = RATE.exec(written);
  const count = Number(found?.[1]);
  if (!found || !(count > 0) || !Number.isSafeInteger(count)) return null;
  return { count, perMs: MS[found[2] as string] as number };
}

/** `20%` as 0.2, up to `100%`; null when it is none. */
export function parseShare(written: string): number | null {
  const percent = Number(SHARE.exec(written)?.[1] ?? Number.NaN);
  return percent <= 100 ? percent / 100 : null;
}

function scaled(found: RegExpExecArray | null, units: Record<string, number>): number | null {
  if (!found) return null;
  const value = Math.round(Number(found[1]) * (units[found[2] as string] as number));
  return Number.isSafeInteger(value) ? value : null;
}

/** A string that `parse` understands; the code gets what it made of it. */
function parsed<T>(pattern: RegExp, parse: (written: string) => T | null, fieldFlags: FieldFlags) {
  return flagged(
    z
      .string()
      .regex(pattern)
      .transform((written, context): T => {
        const value = parse(written);
        if (value !== null) return value;
        context.issues.push({ code: "invalid_format", format: "regex", input: written });
        return z.NEVER;
      }),
    fieldFlags,
  );
}

/** `250ms`, `5s`, `2h`, `7d` → milliseconds. */
export const duration = () =>
  parsed(DURATION, parseDuration, { expects: "a duration", examples: ["250ms", "5s", "2h", "7d"] });

/** `64KiB`, `1MiB`, `10GiB` → bytes. */
export const size = () =>
  parsed(SIZE, parseSize, { expects: "a size", examples: ["64KiB", "1MiB", "10GiB"] });

/** `100/s`, `10/m` → `{ count, perMs }`. */
export const rate = () => parsed(RATE, parseRate, { expects: "a rate", examples: ["100/s", "10/m"] });

/** `20%` → 0.2. */
export const share = () => parsed(SHARE, parseShare, { expects: "a share", examples: ["10%", "20%"] });

/** A size → `{ bytes }`, or a share → `{ share }`. */
export const sizeOrShare = () =>
  parsed(
    /^\d+(?:\.\d+)?(?:%|B|KiB|MiB|GiB|TiB)$/,
    (written): { bytes: number } | { share: number } | null => {
      const bytes = parseSize(written);
      if (bytes !== null) return { bytes };
      const part = parseShare(written);
      return part === null ? null : { share: part };
    },
    { expects: "a size or a share", examples: ["2GiB", "20%"] },
  );

// -------------------------------------------------------------------------------------------------- with a meaning

/** A secret; never echoed. */
export const secret = () =>
  flagged(z.string().min(1), { expects: "a secret", examples: [`\${A_SECRET}`], secret: true });

/** One secret or a list of live ones → a list. */
export const secrets = () => oneOrList(secret());

/** What people call a source, a sink, a route. */
export const NAME = /^[a-z0-9][a-z0-9_-]*$/;

export const name = () =>
  flagged(z.string().regex(NAME), {
    expects: "a name",
    examples: ["billing", "eu-orders"],
  });

/** A string in which `{{ … }}` is filled in from the event. */
export const template = () =>
  flagged(z.string().min(1), { expects: "text, with {{ … }} where the event fills it in", template: true });

/** JSONata. `${…}` is not filled in: it would be code. */
export const expression = () =>
  flagged(z.string().min(1), { expects: "a JSONata expression", examples: ["body.id"], expression: true });

/** Where an endpoint is found on the public listener: begins with `/`, has no trailing one, no `//`, `?` or `#`. */
export const endpointPath = () =>
  flagged(z.string().regex(/^(\/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+$/), {
    expects: "a path that begins with / and has no trailing one",
    examples: ["/webhooks/stripe"],
    endpoint: true,
  });

/** `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`. */
export const listenAddress = () =>
  parsed(
    /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/,
    (written) => (validPort(written) ? written : null),
    {
      expects: "an address as host:port",
      examples: ["127.0.0.1:8080", "[::1]:8080"],
    },
  );

function validPort(address: string): boolean {
  return Number(address.slice(address.lastIndexOf(":") + 1)) <= 65_535;
}

/**
 * An `http:` or `https:` URL that may hold `{{ … }}` in its path and query, never before them: event data never picks
 * a host.
 */
export const httpUrl = () =>
  flagged(
    z.string().superRefine((written, context) => {
      const origin = /^[^:]*:\/\/[^/?#]*/.exec(written)?.[0] ?? written;
      if (origin.includes("{{")) {
        context.addIssue({
          code: "custom",
          message: "has a template in its scheme or host",
          params: { remedy: "only the path and the query may hold {{ … }}: event data never picks a host" },
        });
      } else if (!isHttpUrl(origin)) {
        context.addIssue({ code: "invalid_format", format: "url", input: written });
      }
    }),
    { expects: "an http or https URL", examples: ["https://billing.example.com/hooks"], template: true },
  );

function isHttpUrl(origin: string): boolean {
  const url = URL.canParse(origin) ? new URL(origin) : null;
  return (url?.protocol === "http:" || url?.protocol === "https:") && url.hostname !== "";
}

/** A status code of HTTP. */
export const status = () => integer(100, 599);
