// The package's sources against the real hub.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { ConditionFailed, createClient } from "../src/index.ts";

let hub;
let url;
const folder = mkdtempSync(join(tmpdir(), "tidewire-"));

before(async () => {
  const program = process.env.TIDEWIRE_BIN ?? "target/release/tidewire";
  const config = join(folder, "hub.toml");
  writeFileSync(config, '[[topics]]\npattern = "map.>"\nretention = "latest_per_key"\n');
  hub = spawn(program, ["serve", "--dev", "--config", config, "--listen", "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  url = await new Promise((resolve, reject) => {
    let text = "";
    hub.on("error", reject);
    hub.on("exit", (code) => reject(new Error(`the hub ended with ${code}: ${text}`)));
    hub.stdout.on("data", (data) => {
      text += data;
      const [, address] = /tidewire listening on (http:\S+)/.exec(text) ?? [];
      if (address) resolve(address);
    });
  });
});

after(() => {
  hub?.kill();
  rmSync(folder, { recursive: true });
});

/** Two clients with a connection each. */
function pair(name) {
  const one = createClient(url, { WebSocket, identity: `${name} 1` });
  const two = createClient(url, { WebSocket, identity: `${name} 2` });
  return { one, two };
}

/** The first `count` items of an iterator. */
async function take(messages, count) {
  const items = [];
  for await (const item of messages) {
    items.push(item);
    if (items.length === count) break;
  }
  return items;
}

test("what one client publishes, another one gets, in order and whole", async () => {
  const { one, two } = pair("order");
  const messages = two.topic("chat.room").messages();
  const taken = take(messages, 1_000);
  assert.equal((await messages.ready).outcome, "live");
  const published = await Promise.all(
    Array.from({ length: 1_000 }, (_, n) => one.topic("chat.room").publish({ n, text: "grüße" })),
  );
  const got = await taken;
  assert.deepEqual(
    got.map(({ data }) => data.n),
    Array.from({ length: 1_000 }, (_, n) => n),
  );
  assert.deepEqual(
    got.map(({ offset }) => offset),
    published.map(({ offset }) => offset),
  );
  one.close();
  two.close();
});

test("a map is read, set on conditions and removed from", async () => {
  const { one, two } = pair("map");
  const map = one.topic("map.board");
  const first = await map.publish({ x: 1 }, { key: "a", headers: { by: "ada" }, ifAbsent: true });
  await map.publish({ x: 2 }, { key: "b" });
  await assert.rejects(map.publish({ x: 3 }, { key: "a", ifAbsent: true }), (error) => {
    assert.ok(error instanceof ConditionFailed, `${error}`);
    assert.deepEqual(error.current, { epoch: first.epoch, offset: first.offset });
    return true;
  });
  const second = await map.publish({ x: 3 }, { key: "a", ifVersion: first });
  await assert.rejects(map.remove("a", { ifVersion: first }), { code: "condition_failed" });
  await map.remove("a", { ifVersion: second });
  await assert.rejects(map.publish(1), { code: "bad_message" });
  await assert.rejects(one.topic("t").publish(1, { key: "a", ifAbsent: true }), {
    code: "not_supported",
  });
  const board = new Map();
  const items = await take(two.topic("map.board").messages({ from: "earliest" }), 4);
  for (const { key, data, removed } of items) {
    if (removed) board.delete(key);
    else board.set(key, data);
  }
  assert.deepEqual([...board], [["b", { x: 2 }]]);
  assert.deepEqual([{ ...items[0].headers }, items.at(-1).removed], [{ by: "ada" }, true]);
  // What was heard is a version, too.
  await two.topic("map.board").publish({ x: 4 }, { key: "b", ifVersion: items[1] });
  one.close();
  two.close();
});

test("what has lived long enough is not there for those who come later", async () => {
  const { one, two } = pair("ttl");
  const topic = one.topic("short");
  await topic.publish("gone", { ttl: 200 });
  await topic.publish("here", { ttl: 60_000 });
  await new Promise((done) => setTimeout(done, 400));
  const [message] = await take(two.topic("short").messages({ from: "earliest" }), 1);
  assert.deepEqual([message.data, message.ttl > 59_000 && message.ttl <= 60_000], ["here", true]);
  one.close();
  two.close();
});

test("a batch lands side by side, or not at all", async () => {
  const { one, two } = pair("batches");
  const batch = (...data) => data.map((item, at) => ({ topic: `batch.${at % 2}`, data: item }));
  const published = await one.publishBatch(batch(1, 2, 3, 4));
  const offsets = published.map(({ offset }) => offset);
  assert.deepEqual(
    offsets,
    [0, 2, 1, 3].map((place) => offsets[0] + place),
  );
  const large = "x".repeat(4 << 20);
  await assert.rejects(one.publishBatch(batch(5, large, 6)), { code: "too_large" });
  await one.publishBatch(batch(7));
  const all = await take(two.pattern("batch.*").messages({ from: "earliest" }), 5);
  assert.deepEqual(
    all.map(({ data }) => data),
    [1, 3, 2, 4, 7],
  );
  one.close();
  two.close();
});

test("history, patterns, echo and binary", async () => {
  const { one, two } = pair("widths");
  const bytes = new Uint8Array([0, 255, 7]);
  await one.topic("h.a").publish(1);
  await one.topic("h.b").publish(bytes);
  const all = await take(two.pattern("h.*").messages({ from: "earliest" }), 2);
  assert.deepEqual(
    all.map(({ topic, data }) => [topic, data]),
    [
      ["h.a", 1],
      ["h.b", bytes],
    ],
  );
  await one.topic("h.a").publish(2);
  await one.topic("h.a").publish(3);
  const last = await take(two.topic("h.a").messages({ from: { last: 2 } }), 2);
  assert.deepEqual(
    last.map(({ data }) => data),
    [2, 3],
  );
  const after = await take(two.topic("h.a").messages({ from: last[0] }), 1);
  assert.deepEqual(
    after.map(({ data }) => data),
    [3],
  );

  const heard = [];
  const quiet = one.topic("h.c").subscribe(({ data }) => heard.push(data), { echo: false });
  const others = take(two.topic("h.c").messages({ from: "earliest" }), 2);
  await quiet.ready;
  await one.topic("h.c").publish("own");
  await two.topic("h.c").publish("other");
  await others;
  while (heard.length === 0) await new Promise(setImmediate);
  assert.deepEqual(heard, ["other"]);
  one.close();
  two.close();
});

test("pages of history lead from the newest to what came since, and to a subscription", async () => {
  const { one, two } = pair("pages");
  const topic = two.topic("pages.a");
  for (let n = 0; n < 10; n++) await one.topic("pages.a").publish(n);
  const data = ({ messages }) => messages.map((message) => message.data);
  const newest = await topic.history({ limit: 3 });
  assert.deepEqual([data(newest), newest.more], [[7, 8, 9], false]);
  const end = await topic.history({ before: "latest", limit: 3 });
  assert.deepEqual([data(end), end.more], [[7, 8, 9], true]);
  const older = await topic.history({ before: end.previous, limit: 100 });
  assert.deepEqual([data(older), older.more, older.gap], [[0, 1, 2, 3, 4, 5, 6], false, undefined]);
  const oldest = await topic.history({ from: "earliest", limit: 4 });
  assert.deepEqual([data(oldest), oldest.more], [[0, 1, 2, 3], true]);
  const next = await topic.history({ from: oldest.next });
  assert.deepEqual([data(next), next.more], [[4, 5, 6, 7, 8, 9], false]);
  assert.deepEqual(data(await two.pattern("pages.*").history({ limit: 2 })), [8, 9]);
  await one.topic("pages.a").publish(10);
  const [message] = await take(topic.messages({ from: newest.next }), 1);
  assert.equal(message.data, 10);
  assert.deepEqual(data(await two.topic("pages.none").history()), []);
  for (const named of [topic, two.pattern("pages.*")]) {
    const seen = [];
    let before = newest.messages[0];
    for (let more = true; more; ) {
      const page = await named.history({ before, limit: 3 });
      assert.equal(page.gap, undefined);
      seen.unshift(...data(page));
      ({ more, previous: before } = page);
    }
    assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6]);
    const { messages, next: end } = await named.history({ before: newest.messages[1], limit: 2 });
    assert.deepEqual(data({ messages }), [6, 7]);
    assert.deepEqual(data(await named.history({ from: end })), [8, 9, 10]);
  }
  one.close();
  two.close();
});

test("a subscription says when it has caught up, however quiet its topic is", async () => {
  const { one, two } = pair("caught up");
  for (let n = 0; n < 500; n++) one.topic("backlog.a").publish(n).catch(assert.fail);
  await one.flush();
  await one.topic("elsewhere").publish(1);
  for (const named of [two.topic("backlog.a"), two.pattern("backlog.*")]) {
    const got = [];
    const sub = named.subscribe(({ data }) => void got.push(data), { from: "earliest" });
    await sub.caughtUp;
    assert.equal(got.length, 500);
    const late = named.subscribe(() => {}, { from: { last: 3 } });
    await late.caughtUp;
    const resumed = named.subscribe(() => assert.fail("nothing is left"), {
      from: (await late.ready).positions.length
        ? (await named.history({ limit: 1 })).next
        : assert.fail("it has no place"),
    });
    await resumed.caughtUp;
  }
  for (const from of ["latest", "earliest", { last: 5 }]) {
    await two.topic("backlog.none").subscribe(() => {}, { from }).caughtUp;
    await two.pattern("backlog.none.*").subscribe(() => {}, { from }).caughtUp;
  }
  one.close();
  two.close();
});

test("an update reaches those who listen, and not its sender without echo", async () => {
  const { one, two } = pair("updates");
  const own = [];
  await one.topic("pointer").subscribe(({ data }) => own.push(data), { echo: false }).ready;
  const messages = two.topic("pointer").messages();
  await messages.ready;
  assert.equal(one.topic("pointer").send({ x: 1 }), true);
  two.topic("pointer").send(new Uint8Array([1, 2]), { expiresMs: 5_000 });
  const got = await take(messages, 2);
  assert.deepEqual(new Set(got.map(({ content }) => content)), new Set(["json", "binary"]));
  while (own.length === 0) await new Promise(setImmediate);
  assert.deepEqual(own, [new Uint8Array([1, 2])]);
  assert.deepEqual([one.sendsDropped, two.sendsDropped], [0, 0]);
  one.close();
  two.close();
});

test("a slow handler reads on from the log and misses nothing", async () => {
  const { one, two } = pair("slow");
  const count = 15_000;
  const got = [];
  const done = new Promise((resolve) => {
    const sub = two.topic("slow").subscribe(async ({ data }) => {
      got.push(data);
      if (got.length === count) resolve();
    });
    sub.on("gap", (gap) => got.push(gap));
    sub.ready.then(async () => {
      for (let n = 0; n < count; n++) {
        one.topic("slow").publish(n).catch(resolve);
        if (n % 5_000 === 0) await one.flush();
      }
    });
  });
  await done;
  assert.deepEqual(
    got,
    Array.from({ length: count }, (_, n) => n),
  );
  one.close();
  two.close();
});
