// Batches: one promise, one frame, and all or none, whatever cuts in.

import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";
import { createClient } from "../src/index.ts";
import { Client, epoch, epochBytes, frame, Hub, ScriptedHub } from "./scripted-hub.mjs";
import { corrupt, until } from "./support.mjs";

const batches = 1 << 5;

const given = [
  { topic: "a", data: 1 },
  { topic: "b", data: "two" },
  { topic: "a", data: 3 },
];

async function online(features = batches) {
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  const errors = [];
  tide.on("error", (error) => errors.push(error));
  tide.connect();
  await hub.welcome(features);
  await until(() => tide.status.state === "online");
  const end = async () => {
    tide.close();
    await hub.stop();
  };
  return { hub, tide, errors, end };
}

/** The frames of the next packet that begins with a batch: each publish by its handle and payload. */
async function sent(hub) {
  const { fields } = await hub.next(Client.batch);
  const members = [];
  for (let left = fields[1]; left > 0; left--) {
    const { kind, fields } = await hub.following();
    assert.equal(kind, Client.publish);
    members.push([fields[1], Buffer.from(fields[7]).toString()]);
  }
  return members;
}

const acked = (handle, seq, count, offset) =>
  frame(Hub.acked, { 1: handle, 2: seq, 3: count, 4: epochBytes(epoch), 5: offset });

test("a batch is one frame and its messages, and its promise has their places in their order", async () => {
  const { hub, tide, end } = await online();
  const publishing = tide.publishBatch(given);
  assert.equal(tide.outbox.count, 3);
  assert.deepEqual(await sent(hub), [
    [1, "1"],
    [1, "3"],
    [2, '"two"'],
  ]);
  hub.send(acked(1, 1, 2, 10), acked(2, 1, 1, 12));
  const published = await publishing;
  assert.deepEqual(
    published.map(({ offset }) => offset),
    [10, 12, 11],
  );
  assert.equal(tide.outbox.count, 0);
  await end();
});

test("a batch rejects with what one of its messages met, once, and with all of it gone", async () => {
  const { hub, tide, errors, end } = await online();
  const publishing = tide.publishBatch(given);
  for (let handle = 1; handle <= 2; handle++) await hub.opened(1, 1);
  await sent(hub);
  const refused = (handle, seq, code) =>
    frame(Hub.refused, { 1: handle, 2: seq, 3: 1, 4: code, 5: 1 });
  hub.send(refused(1, 1, 23), refused(1, 2, 23), refused(2, 1, 7));
  await assert.rejects(publishing, { code: "too_large" });
  assert.deepEqual([errors.length, tide.outbox.count], [0, 0]);

  // Where nobody waits, it is told once.
  tide.publishBatch(given);
  await sent(hub);
  hub.send(refused(1, 3, 23), refused(1, 4, 23), refused(2, 2, 5));
  await until(() => errors.length === 1);
  assert.equal(errors[0].code, "forbidden");
  await end();
});

test("a batch withdrawn before it went leaves nothing", async () => {
  const { hub, tide, end } = await online();
  await hub.cut();
  await until(() => tide.status.state !== "online");
  const publishing = tide.publishBatch(given);
  tide.outbox.cancel(publishing.id + 1);
  await assert.rejects(publishing, { code: "cancelled" });
  assert.equal(tide.outbox.count, 0);
  await end();
});

test("another engine sends a batch again as one, and asks for what had lost its outcome", async () => {
  const { hub, tide, end } = await online();
  const publishing = tide.publishBatch(given);
  const first = await sent(hub);
  corrupt();
  tide.topic("other").publish(1);
  await hub.welcome(batches);
  for (let handle = 1; handle <= 2; handle++) await hub.opened(1);
  assert.deepEqual(await sent(hub), first);
  // One outcome comes through, the others do not.
  hub.send(acked(2, 1, 1, 12));
  await until(() => tide.outbox.count === 3);
  hub.cut();
  await hub.welcome(batches);
  const open = await hub.next(Client.open);
  hub.send(frame(Hub.opened, { 1: open.fields[1], 3: 3 }));
  for (const seq of [1, 2]) {
    const { fields } = await hub.next(Client.publish);
    assert.deepEqual([fields[2], fields[6], fields[7]], [seq, 1, undefined], "a void");
  }
  hub.send(frame(Hub.acked, { 1: open.fields[1], 2: 1, 3: 2, 4: epochBytes(epoch), 5: 10, 7: 1 }));
  const published = await publishing;
  assert.deepEqual(
    published.map(({ offset, duplicate }) => [offset, duplicate]),
    [
      [10, true],
      [12, false],
      [11, true],
    ],
  );
  await end();
});

test("a hub without batches, and what is no batch", async () => {
  const { tide, errors, end } = await online(0);
  await assert.rejects(tide.publishBatch(given), { code: "not_supported" });
  const wrong = [
    [],
    new Set(given),
    [1],
    [{ name: "a", data: 1 }],
    Array(1_001).fill(given[0]),
    [{ topic: "a.*", data: 1 }],
    [{ topic: "a", data: 1n }],
  ];
  for (const messages of wrong) await assert.rejects(tide.publishBatch(messages), TypeError);
  await assert.rejects(tide.publishBatch(given, { until: "stored" }), { code: "memory_only" });
  await assert.rejects(tide.publishBatch([{ topic: "a b", data: 1 }]), { code: "bad_name" });
  const reason = new Error("enough");
  await assert.rejects(tide.publishBatch(given, { signal: AbortSignal.abort(reason) }), reason);
  assert.deepEqual([tide.outbox.count, errors.length], [0, 0]);
  await end();
  await assert.rejects(tide.publishBatch(given), { code: "closed" });
});

test("a batch that an outbox has no room for is not taken in", async () => {
  const hub = await ScriptedHub.start();
  const outbox = { maxCount: 4 };
  const tide = createClient(hub.url, { WebSocket, outbox });
  const first = tide.publishBatch(given);
  const second = assert.rejects(tide.publishBatch(given), { code: "outbox_full" });
  await hub.welcome(batches);
  await second;
  await assert.rejects(tide.publishBatch([...given, ...given]), { code: "larger_than_outbox" });
  assert.equal(tide.outbox.count, 3);
  await sent(hub);
  hub.send(acked(1, 1, 2, 1), acked(2, 1, 1, 3));
  assert.equal((await first).length, 3);
  tide.close();
  await hub.stop();
});

test("a batch larger than the outbox is refused, and drops nothing, before there is an engine, too", async () => {
  const outbox = { maxCount: 4, whenFull: "drop_oldest" };
  const tide = createClient("ws://127.0.0.1:9", { WebSocket, outbox });
  const single = assert.rejects(tide.topic("a").publish(0), { code: "dropped" });
  await assert.rejects(tide.publishBatch([...given, ...given]), { code: "larger_than_outbox" });
  assert.equal(tide.outbox.count, 1);
  // One that fits drops what is older.
  const fits = tide.publishBatch([...given, given[0]]);
  await single;
  assert.equal(tide.outbox.count, 4);
  tide.outbox.cancel(fits.id);
  await assert.rejects(fits, { code: "cancelled" });
  assert.equal(tide.outbox.count, 0);
  tide.close();
});
