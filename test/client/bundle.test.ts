/** The one file that pages load: how large it is, and that it is the library. test/e2e/ runs it in a browser. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { bundleClient } from "../../scripts/client.ts";
import { minify } from "../../scripts/minify.ts";

declare class Shape {
  static of(
    parts: { apples: string[]; pears: number },
    limit: number,
  ): { basket: Shape; rest: object; size: number };
  text(separator: string): string;
}

test("the client is one file of at most 6 KiB, compressed, and gives what the library gives", async () => {
  const text = bundleClient();
  assert.ok(
    gzipSync(text, { level: 9 }).byteLength <= 6 * 1024,
    `${gzipSync(text, { level: 9 }).byteLength} bytes`,
  );
  const bundled = (await import(`data:text/javascript,${encodeURIComponent(text)}`)) as object;
  const library = (await import("../../src/client/connect.ts")) as object;
  assert.deepEqual(Object.keys(bundled).toSorted(), Object.keys(library).toSorted());
});

test("short names take nobody else's place", async () => {
  const text = `const limit = 3;
class Basket {
    #apples = [];
    size = 0;
    static of({ apples = [], ...rest }, limit) {
        const basket = new Basket();
        basket.#apples = apples;
        return { basket, rest, size: apples.length > limit ? limit : apples.length };
    }
    text(separator) {
        return \`\${this.#apples.join(separator)} of \${limit} \${/[/"]\\//.test("a") ? "yes" : "no"}\`;
    }
}
export { Basket, limit };
`;
  const small = minify(text);
  assert.ok(small.length < text.length * 0.75);
  const url = `data:text/javascript,${encodeURIComponent(small)}`;
  const { Basket, limit } = (await import(url)) as { Basket: typeof Shape; limit: number };
  const { basket, rest, size } = Basket.of({ apples: ["a", "b"], pears: 1 }, 1);
  assert.deepEqual([basket.text("+"), rest, size, limit], ["a+b of 3 no", { pears: 1 }, 1, 3]);
  assert.match(small, /static of\(\{apples:\w=\[\],\.\.\.\w\},\w\)/);
  assert.match(small, /return\{basket:\w,rest:\w,size:\w\.length>\w\?\w:\w\.length\}/);
  assert.match(small, /export\{\w as Basket,\w as limit\}/);
});
