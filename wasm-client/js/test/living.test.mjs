// Whatever is added is taken off: a client lives long, and holds nothing of what is over.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { WebSocket } from "ws";
import { createClient } from "../src/index.ts";
import { Client, frame, Hub, ScriptedHub } from "./scripted-hub.mjs";
import { corrupt, enterPage, settled, until } from "./support.mjs";

const rounds = 100;

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");

/** Counts what can be collected of all that is made. */
function watched() {
  const counts = { made: 0, gone: 0 };
  const registry = new FinalizationRegistry(() => counts.gone++);
  const watch = (object) => {
    counts.made++;
    registry.register(object, undefined);
    return object;
  };
  return { watch, counts };
}

test("handlers, signals and refused subscriptions leave nothing behind", async () => {
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  tide.on("error", () => {});
  tide.connect();
  await hub.welcome();
  const { signal } = new AbortController();
  const { watch, counts } = watched();
  const handler = () => watch(() => {});
  const ended = [
    () => tide.on("status", handler())(),
    () => tide.topic("left").subscribe(handler(), { signal }).unsubscribe(),
    () => void tide.topic("left").messages({ signal }).return(),
    () => {
      const sub = tide.topic("left").subscribe(handler(), { signal });
      sub.on("gap", handler());
      sub.on("refused", handler());
      sub.unsubscribe();
    },
    () => {
      const controller = watch(new AbortController());
      tide.topic("left").history({ signal: controller.signal }).catch(handler());
      controller.abort();
    },
    () => tide.outbox.cancel(tide.topic("t").publish("x", { signal }).id),
    () => void tide.topic("t").publish(undefined, { signal }).catch(handler()),
    () => watch(tide.topic(`names.${counts.made}`)) && undefined,
  ];
  for (let round = 0; round < rounds; round++) for (const end of ended) end();
  await tide.flush();
  // One is refused by the hub.
  const refused = tide.topic("refused").subscribe(handler(), { signal });
  for (let asked; asked?.fields[2]?.toString() !== "refused"; ) {
    asked = await hub.next(Client.subscribe);
    hub.send(frame(Hub.failed, { 1: asked.fields[1], 2: 5 }));
  }
  await settled(refused.ready, "ready");
  assert.equal(getEventListeners(signal, "abort").length, 0);
  await until(() => {
    gc();
    return counts.gone >= counts.made - ended.length;
  }, "all but the last of each kind is collected");
  tide.close();
  await hub.stop();
});

test("a page's events are heard once, whatever happens, and no more after the end", async () => {
  const page = enterPage();
  const types = ["online", "offline", "pageshow", "pagehide"];
  const count = () =>
    types.reduce((sum, type) => sum + getEventListeners(page.window, type).length, 0) +
    getEventListeners(page.document, "visibilitychange").length;
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  tide.on("error", () => {});
  tide.connect();
  await hub.welcome();
  const before = count();
  assert.ok(before > types.length);
  for (const type of [...types, "visibilitychange"]) page.tell(type);
  corrupt();
  tide.topic("t").publish(1);
  await hub.welcome();
  assert.equal(count(), before);
  tide.close();
  assert.equal(count(), 0);
  page.leave();
  await hub.stop();
});

test("a handler that is taken off during an event is not called for it", async () => {
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  const heard = [];
  const offs = ["first", "second"].map((name) =>
    tide.on("status", () => {
      heard.push(name);
      for (const off of offs) off();
    }),
  );
  tide.connect();
  await hub.welcome();
  assert.deepEqual(heard, ["first"]);
  tide.close();
  await hub.stop();
});

test("one of two clients that share takes its messages, handlers and waits with it", async () => {
  const hub = await ScriptedHub.start();
  const one = createClient(hub.url, { WebSocket });
  const two = createClient(hub.url, { WebSocket });
  const states = [];
  one.on("status", ({ state }) => states.push(state));
  const mine = one.topic("t").publish(1);
  const other = two.topic("t").publish(2);
  const flushed = one.flush();
  one.close();
  assert.equal((await settled(mine, "the publish"))[1].code, "closed");
  assert.equal((await settled(flushed, "the flush"))[0], "fulfilled");
  assert.equal((await settled(one.flush(), "another flush"))[0], "fulfilled");
  assert.equal(states.at(-1), "closed");
  await hub.welcome();
  await hub.opened();
  assert.equal((await hub.next(Client.publish)).fields[7].toString(), "2");
  assert.equal((await settled(one.topic("t").publish(3), "a publish"))[1].code, "closed");
  const count = states.length;
  two.close();
  assert.equal(states.length, count);
  assert.equal((await settled(other, "the other publish"))[1].code, "closed");
  await hub.stop();
});
