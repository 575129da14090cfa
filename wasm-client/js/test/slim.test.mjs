// The entry that is told where its engine is.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { WebSocket } from "ws";
import { createClient, initWasm } from "../src/slim.ts";
import { ScriptedHub } from "./scripted-hub.mjs";
import { until } from "./support.mjs";

test("an engine that could not be fetched is told as that, and can be given again", async (t) => {
  const hub = await ScriptedHub.start();
  const gone = new Response("not here", { status: 404 });
  await assert.rejects(initWasm(gone), { code: "engine_failed", message: /HTTP 404; give / });
  const failed = createClient(hub.url, { WebSocket });
  const errors = [];
  failed.on("error", ({ code }) => errors.push(code));
  await assert.rejects(failed.topic("t").publish(1), { code: "engine_failed" });
  assert.deepEqual([failed.status.state, errors], ["closed", ["engine_failed"]]);
  await initWasm(readFile("wasm-client/js/dist/tidewire.wasm"));
  await works(createClient(hub.url, { WebSocket }), hub);
  // What fails takes no engine away that works, neither while it is fetched nor then.
  const { fetch } = globalThis;
  t.after(() => Object.assign(globalThis, { fetch }));
  for (const cause of [new TypeError("fetch failed"), undefined]) {
    let fail;
    globalThis.fetch = () =>
      new Promise((done, reject) => {
        fail = () => (cause ? reject(cause) : done(new Response("<!doctype html>")));
      });
    const address = "https://app.example/tidewire.wasm";
    const failing = initWasm(address);
    await until(() => fail);
    await works(createClient(hub.url, { WebSocket }), hub);
    fail();
    const told = {
      code: "engine_failed",
      message: /^https:\/\/app\.example\/tidewire\.wasm: .+; give /,
    };
    await assert.rejects(failing, told);
    await works(createClient(hub.url, { WebSocket }), hub);
  }
  await hub.stop();
});

async function works(tide, hub) {
  tide.connect();
  await hub.welcome();
  await until(() => tide.status.state === "online");
  tide.close();
}
