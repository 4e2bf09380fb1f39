import { test } from "node:test";
import { reloadUnderLoad } from "./reload-run.ts";

const RELOADS = Number(process.env.LEAT_RELOADS ?? 200);

test(`${RELOADS} reloads under load refuse no webhook, drop no reader, lose nothing and leave nothing behind`, (t) =>
  reloadUnderLoad(t, RELOADS));
