import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { patternOf } from "../../src/client/socket.ts";
import { compilePattern } from "../../src/pattern.ts";

test("the client's patterns match what the server's match", () => {
  const pattern = fc.array(fc.constantFrom("a", "b", ".", "/", "*", "**", "\\", "\\*", "+", "(", "$", "\n"), {
    maxLength: 6,
  });
  const text = fc.array(fc.constantFrom("a", "b", ".", "/", "*", "\\", "+", "(", "$", "\n"), {
    maxLength: 8,
  });
  fc.assert(
    fc.property(pattern, text, (parts, chars) => {
      const [written, channel] = [parts.join(""), chars.join("")];
      assert.equal(patternOf(written).test(channel), compilePattern(written)(channel));
    }),
    { numRuns: 3000 },
  );
});
