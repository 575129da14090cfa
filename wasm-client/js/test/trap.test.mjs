// The engine stops: another one takes over, and the application hears of nothing but the error.

import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";
import { createClient } from "../src/index.ts";
import { block, Client, epoch, epochBytes, frame, Hub, ScriptedHub } from "./scripted-hub.mjs";
import { corrupt, until } from "./support.mjs";

test("after a trap a new engine goes on from the cursor and the outbox", async () => {
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  const errors = [];
  tide.on("error", ({ code, retryable }) => errors.push({ code, retryable }));
  const offsets = [];
  let seen = () => {};
  tide.topic("t").subscribe(({ offset }) => {
    offsets.push(offset);
    seen();
  });
  const first = await hub.welcome();
  await hub.begin(5);
  const handed = new Promise((done) => {
    seen = done;
  });
  hub.send(
    block(5, 0, [
      [1, "1"],
      [2, "2"],
    ]),
  );
  await handed;
  const sent = tide.topic("t").publish("sent");
  await hub.opened();
  await hub.next(Client.publish);

  corrupt();
  const unsent = tide.topic("t").publish("unsent");

  const second = await hub.welcome();
  assert.deepEqual(second.fields[1], first.fields[1], "the producer is the same");
  assert.deepEqual([first.fields[2], second.fields[2]], [1, 2], "the incarnation is a higher one");
  const asked = await hub.begin(6, 2, 2);
  assert.deepEqual(asked.fields[3], Buffer.from([4, ...epochBytes(epoch), 2]));
  const handle = await hub.opened(1, 1);
  const again = await hub.next(Client.publish);
  const fresh = await hub.next(Client.publish);
  const told = ({ fields }) => [fields[7].toString(), fields[2], fields[5]];
  assert.deepEqual(told(again), ['"sent"', 1, 1], "the hub knows nothing of it");
  assert.deepEqual(told(fresh), ['"unsent"', 2, undefined]);
  hub.send(
    frame(Hub.acked, { 1: handle, 2: 1, 3: 2, 4: epochBytes(epoch), 5: 3, 6: 1 }),
    block(6, 2, [
      [3, "3"],
      [4, "4"],
    ]),
  );
  assert.deepEqual([(await sent).offset, (await sent).maybeDuplicate], [3, true]);
  assert.deepEqual([(await unsent).offset, (await unsent).maybeDuplicate], [4, false]);
  while (offsets.length < 4) await new Promise((done) => (seen = done));
  assert.deepEqual(offsets, [1, 2, 3, 4]);
  assert.deepEqual(errors, [{ code: "engine_failed", retryable: true }]);
  tide.close();
  await hub.stop();
});

test("what is withdrawn while there is no engine ends as the hub says if it was sent, else at once", async () => {
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  tide.on("error", () => {});
  const topic = tide.topic("t");
  const landed = topic.publish("landed");
  const lost = topic.publish("lost");
  await hub.welcome();
  await hub.opened();
  await hub.next(Client.publish);
  await hub.next(Client.publish);
  corrupt();
  const unsent = topic.publish("unsent");
  for (const { id } of [landed, lost, unsent]) tide.outbox.cancel(id);
  await assert.rejects(unsent, { code: "cancelled" });
  await hub.welcome();
  const handle = await hub.opened(3);
  for (const seq of [1, 2]) {
    const { fields } = await hub.next(Client.publish);
    assert.deepEqual([fields[2], fields[7]?.toString() ?? ""], [seq, ""], "a void");
  }
  hub.send(
    frame(Hub.acked, { 1: handle, 2: 1, 3: 1, 4: epochBytes(epoch), 5: 9, 6: 1, 7: 1 }),
    frame(Hub.acked, { 1: handle, 2: 2, 3: 1 }),
  );
  assert.equal((await landed).offset, 9);
  await assert.rejects(lost, { code: "cancelled" });
  tide.close();
  await hub.stop();
});

/** Who else may hear that an engine has stopped, and how often the console is then told: of the stop, and of the end. */
const hearers = {
  nobody: [() => {}, 2],
  "a handler for errors": [(tide) => tide.on("error", () => {}), 0],
  "a handler for the status": [(tide) => tide.on("status", () => {}), 0],
  "a handler for refusals": [(_, sub) => sub.on("refused", () => {}), 1],
  "who waits for a subscription": [(_, sub) => sub.ready.catch(() => {}), 1],
};

for (const [name, [hear, count]] of Object.entries(hearers)) {
  test(`an engine that stops is told to the console unless it is heard of: ${name}`, async () => {
    const hub = await ScriptedHub.start();
    const { error: tell } = console;
    const told = [];
    console.error = (error) => told.push(error.code);
    try {
      const tide = createClient(hub.url, { WebSocket });
      hear(
        tide,
        tide.topic("t").subscribe(() => {}),
      );
      for (let stop = 0; stop < 2; stop++) {
        await hub.welcome();
        await until(() => tide.status.state === "online");
        corrupt();
        tide.connect();
      }
      await until(() => tide.status.state === "closed");
      assert.deepEqual(told, Array(count).fill("engine_failed"));
      assert.ok(tide.status.detail);
    } finally {
      console.error = tell;
      await hub.stop();
    }
  });
}

test("an engine that stops again at once is given up, and everyone who waits hears of it", async () => {
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  tide.on("error", () => {});
  tide.connect();
  await hub.welcome();
  corrupt();
  const publishing = assert.rejects(tide.topic("t").publish(1), { code: "engine_failed" });
  await hub.welcome();
  corrupt();
  const { ready } = tide.topic("t").subscribe(() => {});
  await assert.rejects(ready, { code: "engine_failed" });
  await publishing;
  assert.deepEqual([tide.status.state, tide.status.reason], ["closed", "engine_failed"]);
  await hub.stop();
});
