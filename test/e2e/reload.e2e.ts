import { test } from "node:test";
import { reloadUnderLoad } from "../faults/reload-run.ts";

test("20 reloads under load refuse no webhook, drop no reader and lose nothing", (t) =>
  reloadUnderLoad(t, 20));
