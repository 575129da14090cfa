// The entry that is told where its engine is.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { WebSocket } from "ws";
import { createClient, initWasm } from "../src/slim.ts";
import { ScriptedHub } from "./scripted-hub.mjs";
import { until } from "./support.mjs";

test("an engine that could not be fetched is told as that, and can be given again", async () => {
  const hub = await ScriptedHub.start();
  const gone = new Response("not here", { status: 404 });
  await assert.rejects(initWasm(gone), { code: "engine_failed", message: /HTTP 404/ });
  const failed = createClient(hub.url, { WebSocket });
  const errors = [];
  failed.on("error", ({ code }) => errors.push(code));
  await assert.rejects(failed.topic("t").publish(1), { code: "engine_failed" });
  assert.deepEqual([failed.status.state, errors], ["closed", ["engine_failed"]]);
  await initWasm(readFile("wasm-client/js/dist/tidewire.wasm"));
  const tide = createClient(hub.url, { WebSocket });
  tide.connect();
  await hub.welcome();
  await until(() => tide.status.state === "online");
  tide.close();
  await hub.stop();
});
