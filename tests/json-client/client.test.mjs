// The client that was written from docs/PROTOCOL.md alone, against the real hub.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Client } from "./client.mjs";

const binary =
  process.env.TIDEWIRE_BIN ??
  fileURLToPath(new URL("../../target/release/tidewire", import.meta.url));
const clients = [];
let hub;
let url;

before(async () => {
  hub = spawn(binary, ["serve", "--dev", "--listen", "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: hub.stdout })) {
    const address = line.match(/^tidewire listening on http:\/\/(\S+)$/)?.[1];
    if (address) {
      url = `ws://${address}/v1/ws`;
      return;
    }
  }
  throw new Error("the hub ended before it listened");
});

after(async () => {
  for (const client of clients) client.close();
  if (hub.exitCode !== null || hub.signalCode !== null) return;
  hub.kill();
  await once(hub, "exit");
});

function connect(fail) {
  const client = new Client(url, fail);
  clients.push(client);
  return client;
}

test("a subscriber sees a thousand messages once and in order, however often links break", {
  timeout: 60_000,
}, async () => {
  const { promise: done, resolve, reject } = withResolvers();
  const publisher = connect(reject);
  const subscriber = connect(reject);
  const seen = [];
  let cuts = 0;
  subscriber.subscribe("numbers", {
    from: "earliest",
    onGap: (gap) => reject(new Error(`a gap: ${JSON.stringify(gap)}`)),
    onError: reject,
    onMessage: (message) => {
      seen.push(message);
      if (seen.length === COUNT) resolve();
      if (seen.length % 130 === 0) {
        subscriber.cut();
        cuts++;
      }
    },
  });

  const published = [];
  const publish = (count) => {
    for (let each = 0; each < count; each++)
      published.push(publisher.publish("numbers", { number: published.length }));
    return published.at(-count);
  };
  while (published.length < COUNT) {
    await Promise.race([publish(50), done]); // the link is up
    publish(50);
    publisher.cut(); // with those on their way
    cuts++;
  }
  const acked = await Promise.race([
    Promise.all(published),
    done.then(() => Promise.all(published)),
  ]);
  await done;

  assert.ok(cuts >= 15, `${cuts} cuts`);
  assert.deepEqual(
    seen.map(({ data }) => data.number),
    Array.from({ length: COUNT }, (_, number) => number),
  );
  assert.deepEqual(
    seen.map(({ epoch, offset }) => ({ epoch, offset })),
    acked.map(({ epoch, offset }) => ({ epoch, offset })),
  );
  assert.ok(seen.every(({ maybe_duplicate }) => !maybe_duplicate));
});

test("a pattern names topics, and a late subscriber gets the last N", {
  timeout: 20_000,
}, async () => {
  const { promise: done, resolve, reject } = withResolvers();
  const client = connect(reject);
  await Promise.all([client.publish("pair.a", null), client.publish("pair.a", "two")]);
  await client.publish("pair.b", [3]);
  const seen = [];
  client.subscribe("pair.*", {
    from: { last: 2 },
    onError: reject,
    onMessage: ({ topic, data }) => {
      seen.push({ topic, data });
      if (seen.length === 2) client.publish("pair.c", { four: true }).catch(reject);
      if (seen.length === 3) resolve();
    },
  });
  await done;
  assert.deepEqual(seen, [
    { topic: "pair.a", data: "two" },
    { topic: "pair.b", data: [3] },
    { topic: "pair.c", data: { four: true } },
  ]);
});

test("a refusal reaches whoever asked", { timeout: 20_000 }, async () => {
  const client = connect(() => {});
  await assert.rejects(client.publish("not a name", 1), { message: "bad_name" });
  const refused = new Promise((_, reject) => client.subscribe("a..b", { onError: reject }));
  await assert.rejects(refused, { message: "bad_name" });
  await client.publish("a.name", 1);
});

test("an update that may be lost arrives where a link stands, and is lost where none does", {
  timeout: 20_000,
}, async () => {
  const client = connect(() => {});
  assert.equal(client.send("pointers.ada", "lost"), false);
  const update = new Promise((resolve, reject) =>
    client.subscribe("pointers.ada", {
      onMessage: (message) => resolve(message),
      onError: reject,
    }),
  );
  // Its answer comes after that of the subscription.
  await client.publish("a.name", 1);
  assert.equal(client.send("pointers.ada", [1, 2]), true);
  assert.deepEqual((await update).data, [1, 2]);
});

/** What `Promise.withResolvers` gives, which Node 20 does not have. */
test("a producer is the later connection's, and the earlier one hears so", {
  timeout: 60_000,
}, async () => {
  const producer = "5a".repeat(16);
  const { promise: ended, resolve } = withResolvers();
  const early = new Client(url, resolve, producer);
  clients.push(early);
  await early.publish("moved", 1);
  const late = new Client(url, undefined, producer);
  clients.push(late);
  assert.equal((await ended).message, "fenced");
});

function withResolvers() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

const COUNT = 1000;
