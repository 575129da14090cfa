// Updates that may be lost: they go, or are counted as dropped; nobody waits for them, and no outbox keeps them.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { WebSocket } from "ws";
import { createClient } from "../src/index.ts";
import { Client, frame, Hub, ScriptedHub, takesUpdates } from "./scripted-hub.mjs";
import { corrupt, until } from "./support.mjs";

let hub;
let tide;

beforeEach(async () => {
  hub = await ScriptedHub.start();
  tide = createClient(hub.url, { WebSocket });
});

afterEach(async () => {
  tide.close();
  await hub.stop();
});

async function online(features = takesUpdates) {
  tide.connect();
  await hub.welcome(features);
  await until(() => tide.status.state === "online");
}

const textOf = ({ fields }) => fields[4].toString();

test("an update goes under a handle that expects no answer, and leaves the outbox alone", async () => {
  await online();
  assert.equal(tide.topic("pointer").send({ x: 1 }), true);
  assert.equal(tide.topic("pointer").send(new Uint8Array([7, 8]), { expiresMs: 300 }), true);
  const open = await hub.next(Client.open);
  assert.deepEqual([open.fields[3].toString(), open.fields[5]], ["pointer", 1]);
  const first = await hub.next(Client.send);
  assert.deepEqual([first.fields[1], textOf(first)], [open.fields[1], '{"x":1}']);
  const { fields } = await hub.next(Client.send);
  assert.deepEqual([fields[2], fields[3], [...fields[4]]], [3, 300, [7, 8]]);
  assert.deepEqual([tide.outbox.count, tide.sendsDropped], [0, 0]);
  await tide.flush();
});

test("without a connection one is dropped and counted, or waits as long as it is worth anything", async () => {
  const pointer = tide.topic("pointer");
  // No engine runs yet.
  assert.equal(pointer.send("lost"), false);
  assert.equal(pointer.send("early", { expiresMs: 60_000 }), true);
  assert.equal(tide.sendsDropped, 1);
  await hub.next(Client.hello);
  // It runs, and is not signed in.
  assert.equal(pointer.send("lost"), false);
  assert.equal(pointer.send("late", { expiresMs: 60_000 }), true);
  const fields = { 1: 7, 2: 30_000, 3: 65_536, 4: 100, 7: takesUpdates };
  hub.send(frame(Hub.welcome, fields));
  assert.equal(textOf(await hub.next(Client.send)), '"early"');
  assert.equal(textOf(await hub.next(Client.send)), '"late"');
  assert.equal(tide.sendsDropped, 2);
});

test("what waits before there is an engine is bounded, and the newest stay", async () => {
  const pointer = tide.topic("pointer");
  for (let n = 0; n < 10_000; n++) pointer.send(n, { expiresMs: 60_000 });
  const dropped = tide.sendsDropped;
  assert.ok(dropped > 0 && dropped < 10_000);
  assert.equal(pointer.send("x".repeat(100_000), { expiresMs: 60_000 }), false);
  pointer.send("last", { expiresMs: 60_000 });
  await hub.welcome(takesUpdates);
  assert.equal(textOf(await hub.next(Client.send)), '"last"');
});

test("a refusal of a topic is told once a connection, and its updates are dropped", async () => {
  const errors = [];
  tide.on("error", (error) => errors.push(error));
  await online();
  const secret = tide.topic("secret");
  assert.equal(secret.send(1), true);
  const { fields } = await hub.next(Client.open);
  hub.send(frame(Hub.refused, { 1: fields[1], 4: 5, 7: "no rule allows this" }));
  await until(() => !secret.send(2));
  assert.equal(secret.send(3), false);
  assert.equal(errors.length, 1);
  assert.match(errors[0].message, /^send to secret: forbidden: no rule allows this$/);
  hub.cut();
  await hub.welcome(takesUpdates);
  await until(() => secret.send(4));
});

test("a hub that takes no updates gets none, and says so once", async () => {
  const codes = [];
  tide.on("error", ({ code }) => codes.push(code));
  await online(0);
  for (let n = 0; n < 5; n++) assert.equal(tide.topic("t").send(n), false);
  assert.deepEqual([codes, tide.sendsDropped], [["not_supported"], 5]);
});

test("what is larger than the hub takes is refused", async () => {
  const codes = [];
  tide.on("error", ({ code }) => codes.push(code));
  await online();
  assert.equal(tide.topic("t").send("x".repeat(70_000)), false);
  assert.deepEqual(codes, ["too_large"]);
});

test("mistakes throw at the call, and a closed client sends nothing", () => {
  const topic = tide.topic("t");
  for (const value of [undefined, Number.NaN, new Map(), 1n]) {
    assert.throws(() => topic.send(value), { name: "TypeError", code: "bad_value" });
  }
  for (const expiresMs of [-1, 0.5, "1", Number.POSITIVE_INFINITY, null]) {
    assert.throws(() => topic.send(1, { expiresMs }), { name: "TypeError", code: "bad_argument" });
  }
  assert.throws(() => topic.send(1, { until: "acked" }), /option until: give expiresMs/);
  tide.close();
  assert.equal(topic.send(1), false);
});

test("the count lives on when an engine stops", async () => {
  tide.on("error", () => {});
  tide.connect();
  await hub.next(Client.hello);
  tide.topic("t").send(1);
  tide.topic("t").send(2);
  const dropped = tide.sendsDropped;
  corrupt();
  assert.equal(tide.topic("t").send(3), false);
  await until(() => tide.sendsDropped >= dropped);
  await hub.welcome(takesUpdates);
  await until(() => tide.topic("t").send(4));
  assert.ok(tide.sendsDropped >= dropped);
});
