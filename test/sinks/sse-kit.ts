/** Streams over a real socket, for the tests of what is sent over it. */
import assert from "node:assert/strict";
import { StreamUnderTest, TestReader } from "./stream-kit.ts";

export async function withStream(
  fields: object,
  body: (stream: StreamUnderTest) => Promise<void>,
): Promise<void> {
  const stream = await StreamUnderTest.start(fields);
  try {
    await body(stream);
  } finally {
    await stream.close();
  }
}

export async function open(stream: StreamUnderTest, query: string, headers: Record<string, string> = {}) {
  const reader = new TestReader(`${stream.url}?${query}`, headers);
  await reader.opened;
  return reader;
}

/** One long poll. */
export async function ask(stream: StreamUnderTest, query: string) {
  const response = await fetch(`${stream.url}?${query}`, { headers: { accept: "application/json" } });
  assert.equal(response.status, 200);
  return (await response.json()) as {
    events: { seq: number; data: unknown }[];
    next: number;
    gap?: object;
  };
}
