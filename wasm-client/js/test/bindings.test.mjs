// What bindings for frameworks, and curious applications, need: things that stay the same, and signs of change.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { inspect } from "node:util";
import { WebSocket } from "ws";
import { createClient } from "../src/index.ts";
import { block, Client, epochBytes, frame, gap, Hub, ScriptedHub } from "./scripted-hub.mjs";
import { settled, until } from "./support.mjs";

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

test("status, topics and patterns are the same objects until they change", async () => {
  assert.equal(tide.status, tide.status);
  assert.equal(tide.topic("t"), tide.topic("t"));
  assert.equal(tide.pattern("t"), tide.pattern("t"));
  assert.notEqual(tide.pattern("t"), tide.topic("t"));
  const idle = tide.status;
  const told = [];
  tide.on("status", (status) => told.push(status));
  tide.connect();
  await hub.welcome();
  await until(() => tide.status.state === "online");
  assert.notEqual(tide.status, idle);
  assert.equal(tide.status, told.at(-1));
  assert.equal(told[0].attempts, 1);
  assert.equal(tide.status.attempts, undefined);
  tide.close();
  assert.equal(tide.status, tide.status);
  assert.equal(told.at(-1), tide.status);
});

test("a client needs nothing that tells what is collected", () => {
  const { FinalizationRegistry: Registry } = globalThis;
  globalThis.FinalizationRegistry = undefined;
  try {
    const bare = createClient(hub.url, { WebSocket });
    assert.equal(bare.topic("t"), bare.topic("t"));
    bare.close();
  } finally {
    globalThis.FinalizationRegistry = Registry;
  }
});

test("a subscription tells its state and its lag", async () => {
  const releases = [];
  const sub = tide.topic("t").subscribe(() => new Promise((release) => releases.push(release)));
  assert.deepEqual([sub.state, sub.lag], ["starting", 0]);
  await hub.welcome();
  await hub.begin(5);
  await sub.ready;
  assert.equal(sub.state, "live");
  hub.send(
    block(5, 0, [
      [1, "1"],
      [2, "2"],
      [3, "3"],
    ]),
  );
  await until(() => sub.lag === 2);
  releases.shift()();
  await until(() => sub.lag === 1);
  sub.unsubscribe();
  assert.deepEqual([sub.state, sub.lag], ["ended", 0]);
});

test("a change of the outbox is told once a turn", async () => {
  const told = [];
  tide.on("outbox", ({ count, bytes }) => told.push([count, bytes]));
  tide.topic("t").publish(1);
  tide.topic("t").publish(22);
  await hub.welcome();
  const handle = await hub.opened();
  await hub.next(Client.publish);
  assert.deepEqual(told, [[2, 3]]);
  hub.send(frame(Hub.acked, { 1: handle, 2: 1, 3: 2, 4: epochBytes(1n), 5: 1, 6: 1 }));
  await tide.flush();
  await until(() => told.length > 1);
  assert.deepEqual(told, [
    [2, 3],
    [0, 0],
  ]);
});

test("copies of a message have its data", async () => {
  const got = [];
  tide.topic("t").subscribe((message) => {
    const copies = [{ ...message }, structuredClone(message), JSON.parse(JSON.stringify(message))];
    got.push(...copies.map(({ topic, offset, data }) => ({ topic, offset, data })));
  });
  await hub.welcome();
  await hub.begin(5);
  hub.send(block(5, 0, [[1, '{"id":7}']]));
  await until(() => got.length > 0);
  const copy = { topic: "t", offset: 1, data: { id: 7 } };
  assert.deepEqual(got, [copy, copy, copy]);
});

test("a message that is no JSON is told as an error, and what follows goes on", async () => {
  const errors = [];
  tide.on("error", (error) => errors.push(error));
  const handled = [];
  tide.topic("t").subscribe(({ data }) => handled.push(data));
  const looped = [];
  const loop = (async () => {
    for await (const { data } of tide.topic("t").messages()) {
      looped.push(data);
      if (data === 2) break;
    }
  })();
  await hub.welcome();
  await hub.begin(5);
  hub.send(
    block(5, 0, [
      [1, "{no json"],
      [2, "2"],
    ]),
  );
  await settled(loop, "the loop");
  assert.deepEqual([handled, looped], [[2], [2]]);
  assert.deepEqual(
    errors.map(({ code }) => code),
    ["bad_payload", "bad_payload"],
  );
  assert.match(errors[0].message, /t at 1/);
});

test("a gap is never silent: its handler, else `onGap`, else the console, once", async () => {
  const warn = console.warn;
  const warned = [];
  console.warn = (text) => warned.push(text);
  const heard = [];
  const other = createClient(hub.url, {
    WebSocket,
    identity: "other",
    onGap: ({ reason }, name) => heard.push([reason, name]),
  });
  try {
    for (const one of [tide, other]) {
      one.topic("t").subscribe(() => {});
      await hub.welcome();
      await hub.begin(5);
      hub.send(
        frame(Hub.missing, { 1: 5, 2: gap(1, 8, 5), 3: 8 }),
        frame(Hub.missing, { 1: 5, 2: gap(9, 10, 5), 3: 10 }),
      );
    }
    await until(() => heard.length === 2);
    assert.deepEqual(heard, [
      ["too_slow", "t"],
      ["too_slow", "t"],
    ]);
    assert.equal(warned.length, 1);
    assert.match(warned[0], /too_slow.*onGap/);
  } finally {
    console.warn = warn;
    other.close();
  }
});

test("a gap's handler is waited for, and what it throws is told", async () => {
  const log = [];
  tide.on("error", ({ code, cause }) => log.push(`${code}: ${cause.message}`));
  const sub = tide.topic("t").subscribe(({ offset }) => void log.push(offset));
  sub.on("gap", async () => {
    log.push("begin");
    await new Promise(setImmediate);
    log.push("end");
    throw new Error("late");
  });
  sub.on("gap", () => {
    throw new Error("at once");
  });
  await hub.welcome();
  await hub.begin(5);
  hub.send(frame(Hub.missing, { 1: 5, 2: gap(1, 8, 5), 3: 8 }), block(5, 8, [[9, "9"]]));
  await until(() => log.includes(9));
  assert.deepEqual(log, ["begin", "handler_failed: at once", "end", "handler_failed: late", 9]);
});

test("a failed publish or subscription that nobody waits for is an error event, and else is not", async () => {
  const errors = [];
  tide.on("error", ({ code }) => errors.push(code));
  tide.topic("a b").subscribe(() => {});
  tide.topic("a b").publish(1);
  await hub.welcome();
  await until(() => errors.length === 2);
  assert.deepEqual(errors, ["bad_name", "bad_name"]);
  const sub = tide.topic("a b").subscribe(() => {});
  let refused;
  sub.on("refused", (error) => {
    refused = error;
  });
  await assert.rejects(tide.topic("a b").publish(1), { code: "bad_name" });
  await Promise.allSettled([tide.topic("a b").publish(2)]);
  await assert.rejects(tide.topic("a b").messages().next(), { code: "bad_name" });
  await until(() => refused);
  assert.equal(refused.code, "bad_name");
  assert.equal(errors.length, 2);
});

test("a mistake that nobody waits for goes to the console, an abort of one's own nowhere", async () => {
  const { error } = console;
  const told = [];
  console.error = ({ code }) => told.push(code);
  const heard = [];
  tide.on("error", (error) => heard.push(error));
  try {
    tide.topic("t").publish(undefined);
    tide.topic("t").publish(1, { signal: AbortSignal.abort() });
    const controller = new AbortController();
    tide.topic("t").publish(1, { signal: controller.signal });
    controller.abort();
    await hub.welcome();
    assert.deepEqual([told, heard], [["bad_value"], []]);
  } finally {
    console.error = error;
  }
});

test("an end for good is told once, however many it ends", async () => {
  const errors = [];
  tide.on("error", ({ code }) => errors.push(code));
  const refused = [];
  for (const name of ["a", "b", "c"]) {
    const sub = tide.topic(name).subscribe(() => {});
    sub.on("refused", ({ code }) => refused.push(code));
    tide.topic(name).subscribe(() => {});
    tide.topic(name).publish(1);
  }
  await hub.welcome();
  hub.send(frame(Hub.goodbye, { 1: 4 }));
  hub.cut();
  await until(() => tide.status.state === "closed");
  assert.deepEqual([errors, refused], [["bad_token"], ["bad_token", "bad_token", "bad_token"]]);
});

test("what is larger than the outbox is refused for good", async () => {
  const small = createClient(hub.url, { WebSocket, identity: "small", outbox: { maxBytes: 4 } });
  const large = small.topic("t").publish("large");
  await assert.rejects(large, { code: "larger_than_outbox", retryable: false });
  small.close();
});

test("a client can be looked at", () => {
  assert.match(inspect(tide), /TidewireClient idle/);
  assert.match(inspect(tide.topic("orders")), /orders/);
});
