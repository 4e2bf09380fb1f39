/**
 * Templates on claims, in entries of `channels` and `publish`: `customer.{{ claims.sub }}`. Pure.
 *
 * What a claim yields is literal: a `sub` of `*` is the name `*`, and joins nobody else's channel. A claim that is absent,
 * empty or no scalar makes its entry grant nothing. One that is a list (`{{ claims.rooms }}`) makes one name of each item.
 */
import { escapePattern, plainPattern } from "../../../pattern.ts";
import type { Claims } from "./admission.ts";

/** As long as a channel may be, so that nobody's claims make us keep megabytes. */
const MAX_BYTES = 256;

/** A token grants at most so many names by one entry. */
const MAX_ITEMS = 1000;

type Part = { readonly text: string } | { readonly claim: readonly string[] };

export interface ClaimTemplate {
  /** Whether it asks for a claim at all. */
  readonly dynamic: boolean;
  /** The patterns that it makes of the claims; none where one is missing. */
  fill(claims: Claims): string[];
}

/** What is wrong with an entry as it is written; null: nothing. */
export function templateProblem(written: string): string | null {
  return parse(written) === null
    ? 'take a claim by its path, such as {{ claims.sub }}, {{ claims.org.id }} or {{ claims["https://example.com/id"] }}'
    : null;
}

export function compileClaimTemplate(written: string): ClaimTemplate {
  const parts = parse(written);
  if (parts === null) throw new Error("an entry of channels that the schema should have refused");
  return {
    dynamic: parts.some((part) => "claim" in part),
    fill: (claims) => fillParts(parts, claims),
  };
}

function fillParts(parts: readonly Part[], claims: Claims): string[] {
  let names = [""];
  let lists = 0;
  for (const part of parts) {
    const items = "text" in part ? [part.text] : valuesAt(claims, part.claim);
    // Two lists would make every pair of their items, which nobody means.
    if (items.length === 0 || (items.length > 1 && ++lists > 1)) return [];
    names = names.flatMap((name) => items.map((item) => name + item));
  }
  return names.filter((name) => Buffer.byteLength(name) <= 2 * MAX_BYTES);
}

/** The claim as literal texts; empty where it is nothing that could name a channel. */
function valuesAt(claims: Claims, path: readonly string[]): string[] {
  let value: unknown = claims;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return [];
    value = (value as Record<string, unknown>)[key];
  }
  const items = Array.isArray(value) ? value.slice(0, MAX_ITEMS) : [value];
  const texts = items.map(textOf);
  return texts.filter((text) => text !== null).map(escapePattern);
}

function textOf(value: unknown): string | null {
  const text = typeof value === "number" && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof text !== "string" || text === "" || Buffer.byteLength(text) > MAX_BYTES) return null;
  return /[\p{Cc}\p{Cs}]/u.test(text) ? null : text;
}

// -------------------------------------------------------------------------------------------------------------- parsing

const HOLE = /\{\{([\s\S]*?)\}\}/g;
const CLAIM = /^claims((?:\.[A-Za-z_$][\w$-]*|\["[^"\\]+"\]|\['[^'\\]+'\])+)$/;
const STEP = /\.([A-Za-z_$][\w$-]*)|\["([^"\\]+)"\]|\['([^'\\]+)'\]/g;

function parse(written: string): Part[] | null {
  const parts: Part[] = [];
  let at = 0;
  // A backslash before a template must not make another of the one that a claim's star is escaped by.
  const text = (from: number, to?: number) => parts.push({ text: plainPattern(written.slice(from, to)) });
  for (const hole of written.matchAll(HOLE)) {
    const path = CLAIM.exec((hole[1] as string).trim())?.[1];
    if (path === undefined) return null;
    if (hole.index > at) text(at, hole.index);
    parts.push({ claim: [...path.matchAll(STEP)].map(([, a, b, c]) => (a ?? b ?? c) as string) });
    at = hole.index + hole[0].length;
  }
  const rest = written.slice(at);
  if (rest.includes("{{") || parts.some((part) => "text" in part && part.text.includes("{{"))) return null;
  if (rest !== "") text(at);
  return parts;
}
