// Updates that may be lost: they go, or are counted as dropped; nobody waits for them, and no outbox keeps them.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { WebSocket } from "ws";
import { createClient } from "../src/index.ts";
import { Client, frame, Hub, ScriptedHub, takesUpdates } from "./scripted-hub.mjs";
import { corrupt, engineBytes, until } from "./support.mjs";

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
  // What is too large for it takes nobody's place.
  assert.equal(pointer.send("x".repeat(100_000), { expiresMs: 60_000 }), false);
  assert.equal(tide.sendsDropped, dropped + 1);
  await hub.welcome(takesUpdates);
  for (let n = dropped; n < 10_000; n++) assert.equal(textOf(await hub.next(Client.send)), `${n}`);
  assert.ok(engineBytes() < 1 << 20, `${engineBytes()} bytes for 64 KiB of updates`);
});

test("a refusal of a topic is told once a connection, and its updates are dropped", async () => {
  const errors = [];
  tide.on("error", (error) => errors.push(error));
  await online();
  const secret = tide.topic("secret");
  assert.equal(secret.send(1), true);
  const { fields } = await hub.next(Client.open);
  hub.send(frame(Hub.refused, { 1: fields[1], 4: 5, 7: "neither a rule nor a token allows this" }));
  await until(() => !secret.send(2));
  assert.equal(secret.send(3), false);
  assert.equal(errors.length, 1);
  assert.match(
    errors[0].message,
    /^send to secret: forbidden: neither a rule nor a token allows this$/,
  );
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

test("mistakes throw at the call, and a closed client sends nothing and counts it", () => {
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
  assert.equal(topic.send(1, { expiresMs: 60_000 }), false);
  assert.equal(tide.sendsDropped, 2);
});

/** How a client ends whose updates wait, or are dropped, with what waits then. */
const ends = {
  "closed before there is an engine": [() => {}, () => tide.close()],
  "closed while it connects": [() => hub.next(Client.hello), () => tide.close()],
  "that has no WebSocket": [
    () => {
      tide.close();
      tide = createClient(hub.url);
      tide.on("error", () => {});
    },
    async () => {
      await until(() => tide.status.state === "closed");
      assert.equal(tide.status.reason, "no_websocket");
    },
  ],
  "turned away by the hub": [
    () => hub.next(Client.hello),
    async () => {
      tide.on("error", () => {});
      hub.close(4004, "forbidden");
      await until(() => tide.status.state === "closed");
    },
  ],
  "whose engine stops": [
    () => hub.next(Client.hello),
    () => {
      tide.on("error", () => {});
      corrupt();
      tide.connect();
    },
  ],
};

for (const [name, [begin, end]] of Object.entries(ends)) {
  test(`what a client has lost is counted when it has ended, too: one ${name}`, async (t) => {
    const { WebSocket: own } = globalThis;
    globalThis.WebSocket = undefined;
    t.after(() => {
      globalThis.WebSocket = own;
    });
    tide.connect();
    await begin();
    const pointer = tide.topic("pointer");
    for (let n = 0; n < 3; n++) assert.equal(pointer.send(n), false);
    for (let n = 0; n < 4; n++) assert.equal(pointer.send(n, { expiresMs: 60_000 }), true);
    await end();
    assert.equal(tide.sendsDropped, 7);
  });
}

test("clients that share a connection count each their own, whatever becomes of them", async () => {
  const other = createClient(hub.url, { WebSocket });
  // Before there is an engine, while it connects, and when it goes.
  for (const begin of [() => {}, () => hub.next(Client.hello)]) {
    await begin();
    tide.topic("t").send("lost");
    tide.topic("t").send("brief", { expiresMs: 1 });
    other.topic("t").send("kept", { expiresMs: 60_000 });
  }
  await until(() => tide.sendsDropped === 4);
  const fields = { 1: 7, 2: 30_000, 3: 65_536, 4: 100, 7: takesUpdates };
  hub.send(frame(Hub.welcome, fields));
  for (let n = 0; n < 2; n++) assert.equal(textOf(await hub.next(Client.send)), '"kept"');
  other.close();
  assert.deepEqual([tide.sendsDropped, other.sendsDropped], [4, 0]);
});

test("one that went before the client was closed goes", async () => {
  await online();
  assert.equal(tide.topic("t").send("last word"), true);
  tide.close();
  assert.equal(textOf(await hub.next(Client.send)), '"last word"');
  assert.equal(tide.sendsDropped, 0);
});

test("what waits is bounded by its newest part, again with each engine", async () => {
  tide.on("error", () => {});
  const pointer = tide.topic("pointer");
  const kilobyte = "x".repeat(1_000);
  for (let engine = 0; engine < 2; engine++) {
    for (let n = 0; n < 50; n++) {
      assert.equal(pointer.send(kilobyte, { expiresMs: 60_000 }), true);
    }
    assert.equal(tide.sendsDropped, 0);
    await hub.welcome(takesUpdates);
    for (let n = 0; n < 50; n++) await hub.next(Client.send);
    corrupt();
    tide.connect();
  }
});

test("each client that sent to a topic hears once a connection that it is refused", async () => {
  const other = createClient(hub.url, { WebSocket });
  const silent = createClient(hub.url, { WebSocket });
  const heard = [[], [], []];
  [tide, other, silent].forEach((client, index) => {
    client.on("error", ({ message }) => heard[index].push(message));
  });
  await online();
  tide.topic("secret").send(1);
  other.topic("secret").send(1);
  const words = "send to secret: forbidden: neither a rule nor a token allows this";
  const refuse = async () => {
    const { fields } = await hub.next(Client.open);
    hub.send(
      frame(Hub.refused, { 1: fields[1], 4: 5, 7: "neither a rule nor a token allows this" }),
    );
  };
  await refuse();
  await until(() => heard[1].length);
  assert.deepEqual(heard, [[words], [words], []], "nobody has sent once more");
  for (const client of [tide, other, silent]) client.topic("secret").send(2);
  assert.deepEqual(heard, [[words], [words], [words]]);
  hub.cut();
  await hub.welcome(takesUpdates);
  await until(() => tide.topic("secret").send(3));
  await refuse();
  await until(() => heard[0].length > 1);
  assert.deepEqual(heard, Array(3).fill([words, words]));
  other.close();
  silent.close();
});

/** The hub reads what was sent, up to the heartbeat: it refuses each topic, and echoes. How many topics there were. */
async function refuseAll() {
  const answers = [];
  for (let heartbeat = false; !heartbeat; ) {
    const { kind, fields } = await hub.following();
    if (kind === Client.open) answers.push(frame(Hub.refused, { 1: fields[1], 4: 5 }));
    heartbeat = kind === Client.heartbeat;
    if (heartbeat) answers.push(frame(Hub.heartbeat, { 1: fields[1] }));
  }
  hub.send(...answers);
  return answers.length - 1;
}

test("of however many topics that are refused late, each to which an update went is told", async () => {
  const heard = new Set();
  tide.on("error", ({ message }) => heard.add(message));
  await online();
  let [went, dropped] = [0, 0];
  // In each turn more than a client remembers, and than it looks back on.
  for (let turn = 0; turn < 3; turn++) {
    for (let n = 0; n < 5_000; n++) tide.topic(`t${turn}.${n}`).send(n) ? went++ : dropped++;
    while (heard.size < went) {
      const before = heard.size;
      const refused = await refuseAll();
      await until(() => heard.size === before + refused);
    }
  }
  assert.ok(went >= 1_024, `${went}`);
  assert.equal(tide.sendsDropped, dropped);
});

test("those who stay hear of a refusal whoever was first to send, and so do those who come", async () => {
  const [first, stays, comes] = Array.from({ length: 3 }, () =>
    createClient(hub.url, { WebSocket }),
  );
  const heard = [[], [], []];
  [first, stays, comes].forEach((client, index) => {
    client.on("error", ({ message }) => heard[index].push(message));
  });
  await online();
  first.topic("secret").send(1);
  stays.topic("secret").send(2);
  first.close();
  comes.topic("secret").send(3);
  const { fields } = await hub.next(Client.open);
  hub.send(frame(Hub.refused, { 1: fields[1], 4: 5, 7: "neither a rule nor a token allows this" }));
  await until(() => heard[1].length && heard[2].length);
  const words = "send to secret: forbidden: neither a rule nor a token allows this";
  assert.deepEqual(heard, [[], [words], [words]]);
  stays.close();
  comes.close();
});

for (const [name, begin] of Object.entries({
  "before there is an engine": () => {},
  "while it connects": () => hub.next(Client.hello),
})) {
  test(`what waits of a client that is closed goes with it, though others stay: ${name}`, async () => {
    const other = createClient(hub.url, { WebSocket });
    tide.connect();
    await begin();
    for (const client of [other, tide, other]) {
      assert.equal(client.topic("t").send(client === tide, { expiresMs: 60_000 }), true);
    }
    other.close();
    assert.deepEqual([other.sendsDropped, tide.sendsDropped], [2, 0]);
    // Another one takes its place.
    const next = createClient(hub.url, { WebSocket });
    assert.equal(next.topic("t").send("next", { expiresMs: 60_000 }), true);
    if (name.startsWith("before")) await hub.next(Client.hello);
    const fields = { 1: 7, 2: 30_000, 3: 65_536, 4: 100, 7: takesUpdates };
    hub.send(frame(Hub.welcome, fields));
    assert.equal(textOf(await hub.next(Client.send)), "true");
    assert.equal(textOf(await hub.next(Client.send)), '"next"');
    tide.topic("t").send("last");
    assert.equal(textOf(await hub.next(Client.send)), '"last"');
    next.close();
    assert.deepEqual([other.sendsDropped, tide.sendsDropped, next.sendsDropped], [2, 0, 0]);
  });
}

test("an update that went in the turn in which the engine stops is counted as lost", async () => {
  tide.on("error", () => {});
  await online();
  for (let n = 0; n < 3; n++) assert.equal(tide.topic(`t${n % 2}`).send(n), true);
  for (let n = 0; n < 3; n++) await hub.next(Client.send);
  for (let n = 0; n < 3; n++) assert.equal(tide.topic(`t${n}`).send(n), true);
  corrupt();
  tide.connect();
  assert.equal(tide.sendsDropped, 3);
});

test("one that went in the turn of a publish and of the close is counted as lost", async () => {
  await online();
  assert.equal(tide.topic("t").send("first"), true);
  await hub.next(Client.send);
  assert.equal(tide.topic("t").send("last"), true);
  const failed = assert.rejects(tide.topic("t").publish(1), { code: "closed" });
  tide.close();
  await failed;
  assert.equal(tide.sendsDropped, 1);
});
