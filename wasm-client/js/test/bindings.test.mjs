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

test("a change of a subscription is told once a turn, and nothing where nothing changes", async () => {
  const releases = [];
  const slow = tide.topic("t").subscribe(() => new Promise((release) => releases.push(release)));
  const quick = tide.topic("t").subscribe(() => {});
  const told = { slow: [], quick: [] };
  const watch = (sub, name) =>
    sub.on("change", (it) => {
      assert.equal(it, sub);
      told[name].push(`${it.state} ${it.lag}`);
    });
  watch(slow, "slow");
  const off = watch(quick, "quick");
  await hub.welcome();
  await hub.begin(5);
  await slow.ready;
  const messages = [1, 2, 3].map((offset) => [offset, "0"]);
  hub.send(block(5, 0, messages));
  for (let count = 0; count < 3; count++) {
    await until(() => releases.length > count);
    releases[count]();
  }
  await until(() => told.slow.at(-1) === "live 0");
  quick.unsubscribe();
  off();
  hub.send(frame(Hub.unsubscribed, { 1: 0, 2: 5, 3: 5 }));
  await until(() => slow.state === "ended");
  assert.deepEqual(told, {
    slow: ["live 0", "live 2", "live 1", "live 0", "ended 0"],
    quick: ["live 0", "ended 0"],
  });
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

/** The hub forbids the publishes and subscriptions that are asked for next. */
async function forbid(...kinds) {
  for (const kind of kinds) {
    const { fields } = await hub.next(kind);
    if (kind === Client.open) hub.send(frame(Hub.refused, { 1: fields[1] ?? 0, 3: 1, 4: 5 }));
    else hub.send(frame(Hub.failed, { 1: fields[1], 2: 5 }));
  }
}

test("a failed publish or subscription that nobody waits for is an error event, and else is not", async () => {
  const errors = [];
  tide.on("error", ({ code }) => errors.push(code));
  tide.topic("a").subscribe(() => {});
  tide.topic("a").publish(1);
  await hub.welcome();
  await forbid(Client.subscribe, Client.open);
  await until(() => errors.length === 2);
  assert.deepEqual(errors, ["forbidden", "forbidden"]);
  const sub = tide.topic("b").subscribe(() => {});
  let refused;
  sub.on("refused", (error) => {
    refused = error;
  });
  await forbid(Client.subscribe);
  await until(() => refused);
  assert.equal(refused.code, "forbidden");
  const awaited = assert.rejects(tide.topic("b").publish(1), { code: "forbidden" });
  const looped = assert.rejects(tide.topic("c").messages().next(), { code: "forbidden" });
  await forbid(Client.subscribe, Client.open);
  await Promise.all([awaited, looped]);
  const waited = Promise.allSettled([tide.topic("d").publish(2)]);
  await forbid(Client.open);
  await waited;
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

test("what Node shows of them a person can read", async () => {
  const shown = [];
  const sub = tide.topic("orders").subscribe((message) => shown.push(inspect(message)));
  assert.equal(inspect(tide.topic("orders")), "{ topic: 'orders' }");
  assert.equal(inspect(tide.pattern("orders.*")), "{ pattern: 'orders.*' }");
  assert.equal(inspect(sub), "{ subscription: 'orders', state: 'starting', lag: 0 }");
  await hub.welcome();
  await hub.begin(5);
  hub.send(block(5, 0, [[1, '{"id":7}']]));
  await until(() => shown.length > 0);
  for (const part of ["topic: 'orders'", "data: { id: 7 }", "offset: 1"]) {
    assert.ok(shown[0].includes(part), shown[0]);
  }
  const client = createClient("wss://user:secret@hub.example.com/rt?token=secret");
  const text = inspect(client);
  for (const part of [
    "wss://hub.example.com/rt/v1/ws'",
    "state: 'idle'",
    "count: 0",
    "sendsDropped: 0",
  ]) {
    assert.ok(text.includes(part), text);
  }
  assert.ok(!text.includes("secret"));
  client.close();
});
