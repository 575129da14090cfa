// What a message has besides its value, and on which terms it is published.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { WebSocket } from "ws";
import { ConditionFailed, createClient, Expired, TidewireError } from "../src/index.ts";
import {
  block,
  Client,
  epoch,
  epochText,
  fieldsAs,
  frame,
  gap,
  Hub,
  headersAs,
  position,
  ScriptedHub,
} from "./scripted-hub.mjs";
import { corrupt, settled, until } from "./support.mjs";

/** Keys, headers, times to live, durability, batches, what keeps the latest of each key, and updates. */
const all = 1 | 2 | 8 | 16 | 32 | 512 | 2048;
const place = { epoch: epochText, offset: 4 };

let hub;
let tide;
let told;

beforeEach(async () => {
  hub = await ScriptedHub.start();
  tide = createClient(hub.url, { WebSocket });
  told = [];
  tide.on("error", (error) => told.push(error.code));
});

afterEach(async () => {
  tide.close();
  await hub.stop();
});

const acked = (handle, seq, offset, durability) =>
  frame(Hub.acked, { 1: handle, 2: seq, 3: 1, 4: epochBytesOf(), 5: offset, 6: durability });
const epochBytesOf = () => position(epoch, 0).subarray(0, 8);

test("what is given with a publish goes with it, and plain ones have nothing", async () => {
  const topic = tide.topic("t");
  const headers = { trace: "x", n: "" };
  topic.publish(1, { key: "grün 7", headers, ttl: 60_000, ifVersion: place, durability: "memory" });
  topic.publish(2);
  topic.publish(3, { key: "b", ifAbsent: true, durability: "synced" });
  const removing = topic.remove("a", { ifVersion: { ...place, offset: 9 } });
  await hub.welcome(all);
  const handle = await hub.opened();
  const first = (await hub.next(Client.publish)).fields;
  assert.deepEqual([first[8].toString(), first[7].toString()], ["grün 7", "1"]);
  assert.deepEqual(first[9], headersAs(headers));
  assert.ok(first[11] > 50_000 && first[11] <= 60_000, `what is left: ${first[11]}`);
  assert.deepEqual([first[12], first[13], first[14]], [position(epoch, 4), undefined, 1]);
  const plain = (await hub.next(Client.publish)).fields;
  assert.deepEqual(Object.keys(plain), ["1", "2", "7"]);
  const third = (await hub.next(Client.publish)).fields;
  assert.deepEqual([third[8].toString(), third[13], third[14], third[12]], ["b", 1, 2, undefined]);
  const removal = (await hub.next(Client.publish)).fields;
  assert.deepEqual([removal[8].toString(), removal[19], removal[7]], ["a", 1, undefined]);
  assert.deepEqual(removal[12], position(epoch, 9));
  hub.send(acked(handle, 4, 12, 2));
  assert.equal((await removing).durability, "synced");
});

test("messages of a batch have their own", async () => {
  tide.publishBatch([
    { topic: "t", data: 1, key: "a", headers: { n: "1" } },
    { topic: "t", data: 2 },
  ]);
  await hub.welcome(all);
  await hub.opened();
  const first = (await hub.next(Client.publish)).fields;
  assert.deepEqual([first[8].toString(), first[9]], ["a", headersAs({ n: "1" })]);
  assert.deepEqual([(await hub.next(Client.publish)).fields[8]], [undefined]);
});

test("an update has a key, headers and a time to live", async () => {
  tide.connect();
  await hub.welcome(all);
  await until(() => tide.status.state === "online");
  tide.topic("t").send(1, { key: "a", headers: { n: "1" }, ttl: 500, expiresMs: 200 });
  tide.topic("t").send(2);
  const { fields } = await hub.next(Client.send);
  assert.deepEqual([fields[8].toString(), fields[9], fields[3]], ["a", headersAs({ n: "1" }), 200]);
  assert.ok(fields[11] > 0 && fields[11] <= 500);
  assert.deepEqual(Object.keys((await hub.next(Client.send)).fields), ["1", "4"]);
});

test("another engine is told what the messages of the first one have", async () => {
  const topic = tide.topic("t");
  const first = topic.publish(1, { key: "a", ifVersion: place });
  await hub.welcome(all);
  await hub.opened();
  await hub.next(Client.publish);
  corrupt();
  const late = topic.publish(2, { key: "b" });
  await hub.welcome(all);
  const handle = await hub.opened();
  const again = (await hub.next(Client.publish)).fields;
  assert.deepEqual([again[2], again[8].toString(), again[12]], [1, "a", position(epoch, 4)]);
  assert.equal((await hub.next(Client.publish)).fields[8].toString(), "b");
  hub.send(acked(handle, 1, 7), acked(handle, 2, 8));
  assert.deepEqual([(await first).offset, (await late).offset], [7, 8]);
});

test("what they have takes room in the outbox, of a batch for all before one is taken in", async () => {
  tide.close();
  const outbox = { maxBytes: 20_000, whenFull: "drop_oldest" };
  tide = createClient("ws://127.0.0.1:9", { WebSocket, outbox });
  const headers = { h: "v".repeat(4_000) };
  const first = tide.topic("t").publish(1);
  assert.equal(tide.outbox.bytes, 1);
  const given = { topic: "t", data: 2, headers };
  const batch = tide.publishBatch(Array(6).fill(given));
  await assert.rejects(batch, { code: "larger_than_outbox" });
  assert.equal(tide.outbox.count, 1, "nothing was dropped for it");
  const keyed = tide.publishBatch(Array(4).fill({ ...given, key: "k".repeat(200) }));
  assert.equal(tide.outbox.count, 5);
  const { bytes } = tide.outbox;
  assert.ok(bytes > 4 * 4_200 && bytes < 4 * 4_270, `${bytes} bytes`);
  tide.outbox.cancel(keyed.id);
  await assert.rejects(keyed, { code: "cancelled" });
  assert.deepEqual([tide.outbox.count, tide.outbox.bytes], [1, 1]);
  first.catch(() => {});
});

test("a condition that failed says where the latest message is", async () => {
  const topic = tide.topic("t");
  const failing = [topic.publish(1, { key: "a", ifVersion: place }), topic.remove("b")];
  await hub.welcome(all);
  const handle = await hub.opened();
  const refused = { 1: handle, 3: 1, 4: 24, 5: 1, 7: "it is another" };
  hub.send(
    frame(Hub.refused, { ...refused, 2: 1, 8: position(epoch, 41) }),
    frame(Hub.refused, { ...refused, 2: 2 }),
  );
  const [, first] = await settled(failing[0], "the first");
  assert.ok(first instanceof ConditionFailed && first instanceof TidewireError);
  assert.deepEqual([first.name, first.code], ["ConditionFailed", "condition_failed"]);
  assert.deepEqual([first.current, first.retryable], [{ epoch: epochText, offset: 41 }, false]);
  assert.match(first.message, /^publish to t: condition_failed: it is another/);
  const [, second] = await settled(failing[1], "the second");
  assert.equal(second.current, undefined);
});

test("what is over before the hub has it rejects with Expired", async () => {
  const topic = tide.topic("t");
  const failing = topic.publish(1, { ttl: 30 });
  const lasting = topic.publish(2, { ttl: 60_000 });
  const [, error] = await settled(failing, "the first");
  assert.ok(error instanceof Expired && error instanceof TidewireError);
  assert.deepEqual([error.code, error.name, error.retryable], ["expired", "Expired", false]);
  await hub.welcome(all);
  const handle = await hub.opened();
  const isVoid = (await hub.next(Client.publish)).fields[6];
  hub.send(acked(handle, 1, 0), acked(handle, 2, 7));
  assert.deepEqual([isVoid, (await lasting).offset], [1, 7]);
});

test("a hub that would lose a key gets no message", async () => {
  const failing = tide.topic("t").publish(1, { key: "a" });
  await hub.welcome();
  const [, error] = await settled(failing, "the publish");
  assert.equal(error.code, "not_supported");
});

test("messages have what was given with them", async () => {
  const heard = [];
  const subscription = tide.topic("t").subscribe((message) => heard.push(message));
  subscription.on("gap", ({ reason }) => heard.push(reason));
  await hub.welcome(all);
  await hub.begin(9);
  const headers = headersAs({ trace: "ü", n: "", ["__proto__"]: "x" });
  const ext = fieldsAs({ 8: "grün", 9: headers, 11: 1_500, 30: 7 });
  const removal = fieldsAs({ 8: "a", 19: 1 });
  hub.send(
    block(9, 0, [
      [1, '{"x":1}', 1, ext],
      [2, "2"],
      [3, "", 1, removal],
    ]),
  );
  hub.send(frame(Hub.missing, { 1: 9, 2: gap(1, 3, 6), 3: 1 }), block(9, 1, [[3, "", 1, removal]]));
  await until(() => heard.length === 5);
  const [first, second, third] = heard;
  assert.deepEqual([first.key, first.ttl, first.removed], ["grün", 1_500, false]);
  const pairs = { trace: "ü", n: "", ["__proto__"]: "x" };
  assert.deepEqual(Object.entries(first.headers), Object.entries(pairs));
  assert.deepEqual(first.data, { x: 1 });
  assert.equal(first.headers.constructor, undefined);
  assert.deepEqual(first.version, { epoch: epochText, offset: 1 });
  assert.deepEqual(
    [second.key, second.headers.valueOf, second.ttl],
    [undefined, undefined, undefined],
  );
  assert.deepEqual([third.key, third.removed, third.data], ["a", true, undefined]);
  assert.deepEqual([heard[3], heard[4].offset], ["compacted", 3], "all comes anew");
});

test("a mistake is told at the call, with what to do, and reaches no engine", async () => {
  const topic = tide.topic("t");
  const mistakes = [
    [{ key: 7 }, /key: give a string of 1 to 255 bytes/],
    [{ key: "" }, /key: give/],
    [{ key: "a\nb" }, /key: give/],
    [{ key: "\ud800" }, /key: give/],
    [{ key: "ü".repeat(128) }, /key: give/],
    [{ headers: [] }, undefined],
    [{ headers: "x" }, /headers: give an object/],
    [{ headers: { Upper: "1" } }, /header Upper: give a name/],
    [{ headers: { "": "1" } }, /header : give a name/],
    [{ headers: { n: 1 } }, /header n: give a string/],
    [{ headers: { n: "\0" } }, /header n: give a string/],
    [{ headers: { n: "x".repeat(4_096) } }, /headers: give 32 at most/],
    [
      { headers: Object.fromEntries([...Array(33).keys()].map((n) => [`h${n}`, ""])) },
      /32 at most/,
    ],
    [{ ttl: 0 }, /ttl: give whole milliseconds/],
    [{ ttl: 1.5 }, /ttl: give/],
    [{ ttl: "10s" }, /ttl: give/],
    [{ ifAbsent: true }, /key: give/],
    [{ ifVersion: place }, /key: give/],
    [{ key: "a", ifVersion: 7 }, /ifVersion: give a message or/],
    [{ key: "a", ifVersion: place, ifAbsent: true }, /not both/],
    [{ key: "a", ifAbsent: "yes" }, /ifAbsent: give true or false/],
    [{ durability: "replicated" }, /durability: give memory or synced/],
    [{ Key: "a" }, /option Key: give until or signal or key/],
  ];
  for (const [options, says] of mistakes) {
    const [how, error] = await settled(
      topic.publish(1, options),
      JSON.stringify(options),
      500,
    ).catch(() => ["pending"]);
    if (!says) {
      assert.equal(how, "pending", "no headers are given");
      continue;
    }
    assert.ok(error instanceof TypeError && error.code === "bad_argument", `${error}`);
    assert.match(error.message, says);
    const [, ofBatch] = await settled(
      tide.publishBatch([{ topic: "t", data: 1, ...options }]),
      "a batch",
    );
    assert.ok(ofBatch instanceof TypeError, `${ofBatch}`);
  }
  const [, noKey] = await settled(topic.remove(), "no key");
  assert.match(noKey.message, /key: give/);
  const [, unknown] = await settled(topic.remove("a", { key: "b" }), "two keys");
  assert.match(unknown.message, /option key: give until or signal/);
  assert.throws(() => topic.send(1, { durability: "memory" }), /option durability: give expiresMs/);
  assert.throws(() => topic.send(1, { key: "\n" }), TypeError);
  assert.deepEqual([tide.outbox.count, told], [1, []]);
});
