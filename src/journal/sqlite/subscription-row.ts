/** A row of `subscription`, whose columns hold what the main thread made. */
import type { SubscriptionDefinition } from "../journal.ts";
import type { RouteSpans } from "./feeds.ts";
import type { Row } from "./storage.ts";

export function feedsOf(row: Row): RouteSpans[] {
  return JSON.parse(String(row.feeds)) as RouteSpans[];
}

export function definitionOf(row: Row): SubscriptionDefinition {
  return JSON.parse(String(row.definition)) as SubscriptionDefinition;
}
