// The package's sources against a scripted hub: what an application sees of what the hub says.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { WebSocket } from "ws";
import { createClient, TidewireError } from "../src/index.ts";
import {
  block,
  Client,
  epoch,
  epochBytes,
  epochText,
  frame,
  gap,
  golden,
  Hub,
  ScriptedHub,
} from "./scripted-hub.mjs";

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

/** Resolves with the first `count` things that `push` is given, or rejects when they do not come. */
function collector(count) {
  const got = [];
  let done;
  const all = new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`only ${got.length} of ${count} came`)), 5_000);
    done = (items) => {
      clearTimeout(late);
      resolve(items);
    };
  });
  const push = (item) => {
    got.push(item);
    if (got.length === count) done(got);
  };
  return { push, all, got };
}

test("createClient does no I/O until the first use", async () => {
  assert.equal(tide.status.state, "idle");
  tide.connect();
  await hub.welcome();
  assert.equal(hub.connections, 1);
});

test("messages arrive in order with their place, and JSON is parsed once", async () => {
  const { push, all } = collector(2);
  const sub = tide.topic("orders.eu").subscribe(push);
  await hub.welcome();
  await hub.begin(5);
  assert.deepEqual(await sub.ready, {
    outcome: "live",
    positions: [{ offset: 0, epoch: epochText }],
  });
  hub.send(
    block(5, 0, [
      [3, '{"id":1}'],
      [9, '{"id":2}'],
    ]),
  );
  const [first, second] = await all;
  assert.deepEqual(first.data, { id: 1 });
  assert.equal(first.data, first.data);
  assert.deepEqual(
    [first.topic, first.offset, first.epoch, first.publishedAt, first.content],
    ["orders.eu", 3, epochText, 1_000, "json"],
  );
  assert.equal(second.offset, 9);
});

test("binary data is a copy, and the view is not", async () => {
  const { push, all } = collector(1);
  tide.topic("bytes").subscribe(push);
  await hub.welcome();
  await hub.begin(5);
  hub.send(block(5, 0, [[1, Buffer.from([1, 2, 3]), 3]]));
  const [message] = await all;
  assert.deepEqual([...message.data], [1, 2, 3]);
  assert.notEqual(message.data.buffer, message.view().buffer);
  assert.deepEqual([...message.view()], [1, 2, 3]);
});

test("a gap is told in order with the messages", async () => {
  const { push, all } = collector(3);
  const sub = tide.topic("t").subscribe(push);
  sub.on("gap", push);
  await hub.welcome();
  await hub.begin(5);
  hub.send(
    block(5, 0, [[1, "1"]]),
    frame(Hub.missing, { 1: 5, 2: gap(2, 8, 5), 3: 8 }),
    block(5, 8, [[9, "9"]]),
  );
  const [before, missing, after] = await all;
  assert.equal(before.offset, 1);
  assert.deepEqual(missing, { type: "gap", reason: "too_slow", from: 2, to: 8, epoch: epochText });
  assert.equal(after.offset, 9);
});

test("a handler that returns a promise is called one message at a time", async () => {
  const releases = [];
  const { push, all, got } = collector(3);
  tide.topic("t").subscribe((message) => {
    push(message.offset);
    return new Promise((release) => releases.push(release));
  });
  await hub.welcome();
  await hub.begin(5);
  hub.send(
    block(5, 0, [
      [1, "1"],
      [2, "2"],
      [3, "3"],
    ]),
  );
  while (releases.length === 0) await new Promise(setImmediate);
  assert.deepEqual(got, [1]);
  releases.shift()();
  await new Promise(setImmediate);
  assert.deepEqual(got, [1, 2]);
  releases.shift()();
  assert.deepEqual(await all, [1, 2, 3]);
});

test("a handler that throws harms nobody", async () => {
  const errors = collector(2);
  const messages = collector(2);
  tide.on("error", errors.push);
  tide.topic("t").subscribe(() => {
    throw new Error("handler");
  });
  tide.topic("t").subscribe(messages.push);
  await hub.welcome();
  await hub.begin(5);
  hub.send(
    block(5, 0, [
      [1, "1"],
      [2, "2"],
    ]),
  );
  assert.equal((await messages.all).length, 2);
  const [error] = await errors.all;
  assert.equal(error.code, "handler_failed");
  assert.equal(error.cause.message, "handler");
});

test("equal topics share one subscription on the wire; nothing comes after unsubscribe", async () => {
  const one = collector(1);
  const two = collector(2);
  const first = tide.topic("t").subscribe(one.push);
  tide.topic("t").subscribe(two.push);
  await hub.welcome();
  await hub.begin(5);
  hub.send(block(5, 0, [[1, "1"]]));
  await one.all;
  first.unsubscribe();
  hub.send(block(5, 1, [[2, "2"]]));
  await two.all;
  assert.equal(one.got.length, 1);
});

test("an iterator gives messages and gaps, and leaving it unsubscribes", async () => {
  const offsets = [];
  const reading = (async () => {
    for await (const item of tide.topic("t").messages()) {
      offsets.push(item.type === "gap" ? "gap" : item.offset);
      if (offsets.length === 3) break;
    }
  })();
  await hub.welcome();
  await hub.begin(5);
  hub.send(
    block(5, 0, [[1, "1"]]),
    frame(Hub.missing, { 1: 5, 2: gap(2, 8, 5), 3: 8 }),
    block(5, 8, [
      [9, "9"],
      [10, "10"],
    ]),
  );
  await reading;
  assert.deepEqual(offsets, [1, "gap", 9]);
  assert.equal((await hub.next(Client.unsubscribe)).fields[2], 5);
});

test("a refused subscription rejects, tells and ends its iterator", async () => {
  const { push, all } = collector(1);
  tide.on("error", () => {});
  const sub = tide.topic("secret").subscribe(() => {});
  sub.on("refused", push);
  const next = tide.topic("secret").messages().next();
  const refused = assert.rejects(next, { code: "forbidden" });
  await hub.welcome();
  const asked = await hub.next(Client.subscribe);
  hub.send(frame(Hub.failed, { 1: asked.fields[1], 2: 5 }));
  await assert.rejects(sub.ready, (error) => {
    assert.ok(error instanceof TidewireError);
    assert.deepEqual([error.code, error.retryable], ["forbidden", false]);
    return true;
  });
  assert.equal((await all)[0].code, "forbidden");
  await refused;
});

test("publish resolves with its place; payloads go out as they were given", async () => {
  const publishing = tide.topic("t").publish({ id: 4711 });
  const binary = tide.topic("t").publish(new Uint8Array([1, 2]));
  assert.equal(tide.outbox.count, 2);
  await hub.welcome();
  const handle = await hub.opened();
  const json = await hub.next(Client.publish);
  const bytes = await hub.next(Client.publish);
  assert.equal(json.fields[7].toString(), '{"id":4711}');
  assert.deepEqual([...bytes.fields[7]], [1, 2]);
  hub.send(frame(Hub.acked, { 1: handle, 2: 1, 3: 2, 4: epochBytes(epoch), 5: 17, 6: 1 }));
  const flushed = tide.flush();
  assert.deepEqual(await publishing, {
    offset: 17,
    epoch: epochText,
    durability: "memory",
    duplicate: false,
    maybeDuplicate: false,
  });
  assert.equal((await binary).offset, 18);
  await flushed;
  assert.equal(tide.outbox.count, 0);
  assert.equal(tide.outbox.bytes, 0);
});

test("what is no JSON, or asks for more than memory can promise, is refused", async () => {
  await assert.rejects(tide.topic("t").publish(undefined), { code: "bad_value" });
  await assert.rejects(tide.topic("t").publish(1n), { code: "bad_value" });
  await assert.rejects(tide.topic("t").publish(1, { until: "stored" }), { code: "memory_only" });
});

test("a full outbox refuses, or drops the oldest", async () => {
  const dropping = createClient(hub.url, {
    WebSocket,
    identity: "dropping",
    outbox: { maxCount: 1, whenFull: "drop_oldest" },
  });
  const [first] = [
    dropping.topic("t").publish(1),
    dropping
      .topic("t")
      .publish(2)
      .catch(() => {}),
  ];
  await assert.rejects(first, { code: "dropped" });
  dropping.close();
  const refusing = createClient(hub.url, {
    WebSocket,
    identity: "refusing",
    outbox: { maxBytes: 3 },
  });
  refusing
    .topic("t")
    .publish(12)
    .catch(() => {});
  await assert.rejects(refusing.topic("t").publish(34), { code: "outbox_full", retryable: true });
  refusing.close();
});

test("an abort stops the waiting, cancel withdraws", async () => {
  const abort = new AbortController();
  const waiting = tide.topic("t").publish(1, { signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(waiting, { message: "enough" });
  assert.equal(tide.outbox.count, 1);
  tide.outbox.cancel(waiting.id);
  await tide.flush();
  assert.equal(tide.outbox.count, 0);
});

test("a broken link is told, made anew, and the subscription resumed where it was", async () => {
  const { push, all } = collector(2);
  const states = [];
  tide.on("status", ({ state }) => states.push(state));
  tide.topic("t").subscribe(push);
  await hub.welcome();
  await hub.begin(5);
  hub.send(block(5, 0, [[4, "4"]]));
  while (states.at(-1) !== "online") await new Promise(setImmediate);
  hub.cut();
  await hub.welcome();
  const asked = await hub.begin(6, 4, 2);
  assert.deepEqual(asked.fields[3], Buffer.from([4, ...epochBytes(epoch), 4]));
  hub.send(block(6, 4, [[5, "5"]]));
  assert.deepEqual(
    (await all).map(({ offset }) => offset),
    [4, 5],
  );
  assert.deepEqual(states, ["connecting", "online", "offline", "connecting", "online"]);
});

test("clients of one address and identity share a connection; options that differ throw", async () => {
  const again = createClient(hub.url, { WebSocket });
  tide.connect();
  again.connect();
  await hub.welcome();
  assert.throws(() => createClient(hub.url, { outbox: { maxCount: 3 } }), {
    code: "options_differ",
  });
  tide.close();
  assert.equal(tide.status.state, "closed");
  assert.notEqual(again.status.state, "closed");
  assert.equal(hub.connections, 1);
  again.close();
});

test("close ends what waits", async () => {
  const publishing = tide.topic("t").publish(1);
  const rejected = assert.rejects(publishing, { code: "closed" });
  await hub.welcome();
  tide.close();
  await rejected;
  await assert.rejects(tide.topic("t").publish(1), { code: "closed" });
  await assert.rejects(tide.topic("t").subscribe(() => {}).ready, { code: "closed" });
});

test("whatever frames a hub sends, the client stays whole", async () => {
  const errors = [];
  tide.on("error", (error) => errors.push(error.code));
  for (const { name, side, bytes } of golden.filter(({ side }) => side === "hub")) {
    const one = createClient(hub.url, { WebSocket, identity: name });
    one.on("error", (error) => errors.push(`${side} ${name}: ${error.code}`));
    one.connect();
    await hub.welcome();
    hub.send(bytes);
    one.close();
  }
  assert.deepEqual(errors, []);
});
