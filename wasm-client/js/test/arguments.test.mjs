// Arguments are checked where they are given: a mistake is told there, and harms nothing else.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { runInNewContext } from "node:vm";
import { WebSocket } from "ws";
import { createClient, TidewireError } from "../src/index.ts";
import { Client, ScriptedHub } from "./scripted-hub.mjs";
import { settled, until } from "./support.mjs";

const epoch = "0123456789abcdef";
let hub;
let tide;

before(async () => {
  hub = await ScriptedHub.start();
  tide = createClient(hub.url, { WebSocket });
  tide.on("error", () => {});
  tide.connect();
  await hub.welcome();
});

after(async () => {
  assert.equal(tide.status.state, "online", "no mistake harmed the client");
  assert.equal(hub.connections, 1);
  tide.close();
  await hub.stop();
});

const mistake = (call, pattern = /./) =>
  assert.throws(call, (error) => {
    assert.ok(error instanceof TypeError, `${error}`);
    assert.equal(error.code, "bad_argument");
    assert.match(error.message, pattern);
    return true;
  });

test("a `from` that is no start is a mistake", () => {
  const wrong = [
    null,
    "now",
    "",
    0,
    [],
    {},
    [null],
    ["latest"],
    { last: -1 },
    { last: 1.5 },
    { last: Number.NaN },
    { last: Number.POSITIVE_INFINITY },
    { last: "5" },
    { last: 2 ** 60 },
    { sinceMs: -1 },
    { sinceMs: Number.NaN },
    { last: 1, sinceMs: 2 },
    { epoch },
    { offset: 1 },
    { epoch: "not-hex", offset: 1 },
    { epoch: 5, offset: 1 },
    { epoch: epoch.toUpperCase(), offset: 1 },
    { epoch, offset: -1 },
    { epoch, offset: Number.NaN },
    { epoch, offset: Number.POSITIVE_INFINITY },
    { epoch, offset: "1" },
    [{ epoch, offset: 1 }, { epoch }],
  ];
  for (const from of wrong) {
    mistake(() => tide.topic("t").subscribe(() => {}, { from }), /from: give/);
    mistake(() => tide.topic("t").messages({ from }), /from: give/);
  }
});

test("a `from` that is a start is taken", async () => {
  const right = [
    undefined,
    "latest",
    "earliest",
    { last: 0 },
    { last: 50 },
    { sinceMs: 60_000 },
    { epoch, offset: 0 },
    { type: "message", epoch, offset: 7, data: 1 },
    [
      { epoch, offset: 1 },
      { epoch: "0000000000000001", offset: 2 },
    ],
  ];
  for (const [at, from] of right.entries()) {
    const sub = tide.pattern(`start.${at}.*`).subscribe(() => {}, { from });
    await hub.next(Client.subscribe);
    sub.unsubscribe();
  }
});

test("other arguments of the wrong kind are mistakes", () => {
  const topic = tide.topic("t");
  mistake(() => topic.subscribe(), /handler/);
  mistake(() => topic.subscribe({}), /handler/);
  mistake(() => topic.subscribe(() => {}, { whenSlow: "never" }), /whenSlow/);
  mistake(() => topic.subscribe(() => {}, { echo: "no" }), /echo/);
  mistake(() => topic.subscribe(() => {}, { signal: {} }), /signal/);
  mistake(() => tide.on("status"), /function/);
  mistake(() => tide.topic(5), /string/);
  mistake(() => tide.pattern(), /string/);
  for (const name of ["a.*", "*", ">", "a.>", "*.b"]) {
    mistake(() => tide.topic(name), /use pattern/);
  }
  for (const options of [
    { identity: 5 },
    { outbox: 5, identity: 6 },
    { outbox: { maxCount: 0 } },
    { outbox: { maxCount: "10" } },
    { outbox: { maxBytes: Number.NaN } },
    { outbox: { whenFull: "wait" } },
    { WebSocket: {} },
    { onGap: "log" },
  ]) {
    mistake(() => createClient(hub.url, options));
  }
});

test("an option that nobody knows is a mistake that names those that are", async () => {
  const topic = tide.topic("t");
  mistake(
    () => createClient(hub.url, { persist: true }),
    /option persist: give identity or token or outbox/,
  );
  mistake(() => createClient(hub.url, { outbox: { max: 5 } }), /option max: give maxCount or/);
  mistake(() => createClient(hub.url, null), /options: give an object/);
  mistake(() => topic.subscribe(() => {}, { form: "earliest" }), /option form: give from or/);
  mistake(() => topic.messages({ last: 5 }), /option last: give from or/);
  mistake(() => topic.messages("earliest"), /options: give an object/);
  mistake(() => topic.send(1, { until: 5 }), /option until: give expiresMs/);
  const rejected = { name: "TypeError", code: "bad_argument" };
  await assert.rejects(topic.publish(1, { untill: "acked" }), { ...rejected, message: /untill/ });
  await assert.rejects(topic.history({ after: 5 }), { ...rejected, message: /option after/ });
});

/** Names by whether they are one for a topic, and for a pattern; those of a pattern alone come second. */
const names = {
  both: ["a", "a.b", "$sys.a", "ä.ö", "😀", "a-b_c", "x".repeat(255), "a.$b", "\ufeff"],
  patterns: ["*", ">", "a.*", "a.>", "*.b", "a.*.c", "*.>"],
  none: [
    ...[
      "",
      ".",
      "a.",
      ".a",
      "a..b",
      "a b",
      "\t",
      "a\u00a0b",
      "a\u2028",
      "a\u3000",
      "a\u0085b",
      "a\u007f",
    ],
    ...[
      "a*",
      "*a",
      "a.b*",
      "a>",
      ">.a",
      "a.>.b",
      "**",
      "a.>>",
      "\ud800",
      "x".repeat(256),
      "ä".repeat(128),
    ],
  ],
};

test("a name that is none throws where it is given, and by the engine's own rules", async () => {
  const none = { name: "TidewireError", code: "bad_name", message: /: give words joined by dots/ };
  for (const name of names.none) {
    assert.throws(() => tide.pattern(name), none, JSON.stringify(name));
    assert.throws(() => tide.topic(name), /bad_name|use pattern/, JSON.stringify(name));
  }
  for (const name of names.patterns) mistake(() => tide.topic(name), /use pattern/);
  for (const name of [...names.both, ...names.patterns]) {
    const sub = tide.pattern(name).subscribe(() => {});
    const { fields } = await hub.next(Client.subscribe);
    assert.equal(fields[2].toString(), name);
    sub.unsubscribe();
  }
  for (const name of names.both) tide.topic(name);
  // Whatever character a token has, the engine refuses none that is taken here, and it is asked of every one.
  const refused = [];
  const off = tide.on("error", ({ message }) => refused.push(message));
  let characters = "";
  for (let code = 0; code < 0x3100; code++) {
    const character = String.fromCodePoint(code);
    try {
      tide.topic(character);
      characters += character;
    } catch (error) {
      assert.equal(error.code, /[*>]/.test(character) ? "bad_argument" : "bad_name");
    }
  }
  assert.ok(characters.length > 12_000);
  const subs = [...characters.matchAll(/.{1,80}/gsu)].map(([name]) =>
    tide.topic(name).subscribe(() => {}),
  );
  await new Promise(setImmediate);
  assert.ok(subs.every(({ state }) => state === "starting"));
  for (const sub of subs) sub.unsubscribe();
  assert.deepEqual(refused, []);
  off();
});

test("no address is a mistake that says what to give, whatever stands in its place", () => {
  for (const address of [undefined, null, "", 5, {}, { href: hub.url }]) {
    assert.throws(() => createClient(address), {
      code: "bad_address",
      message: /give a hub's address, such as wss:/,
    });
  }
  createClient(new URL(hub.url), { identity: "URL" }).close();
});

test("errors say what to do", async () => {
  const closed = createClient(hub.url, { WebSocket, identity: "errors" });
  const sub = closed.topic("t").subscribe(() => {});
  closed.close();
  const [, ended] = await settled(sub.ready, "ready");
  assert.equal(ended.message, "subscribe to t: closed: create another client");
  const [, stored] = await settled(tide.topic("t").publish(1, { until: "stored" }), "it");
  assert.match(stored.message, /^publish to t: memory_only: this outbox is in memory; leave/);
  const [, late] = await settled(closed.topic("t").history(), "it");
  assert.match(late.message, /^history of t: closed: /);
});

test("a publish of the wrong kind rejects with what is wrong", async () => {
  const circle = {};
  circle.circle = circle;
  const wrong = [
    undefined,
    () => {},
    Symbol("s"),
    1n,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    new Map(),
    new Set(),
    new Blob(["x"]),
    Promise.resolve(1),
    new Error("e"),
    /x/,
    new WeakMap(),
    circle,
    [Number.NaN],
    { deep: { map: new Map() } },
    { deep: [new Uint8Array(1)] },
    { big: 1n },
    runInNewContext("new Map()"),
    {
      toJSON() {
        throw new Error("toJSON");
      },
    },
  ];
  for (const value of wrong) {
    const [how, error] = await settled(tide.topic("t").publish(value), "the publish");
    assert.equal(how, "rejected", `${String(value?.constructor?.name)} was taken`);
    assert.ok(error instanceof TypeError);
    assert.equal(error.code, "bad_value");
    assert.match(error.message, /^publish to t: [\s\S]* is no JSON/);
  }
  for (const options of [{ until: "later" }, { signal: {} }]) {
    const [, error] = await settled(tide.topic("t").publish(1, options), "the publish");
    assert.equal(error.code, "bad_argument");
  }
});

test("what travels as bytes are the bytes at the time of the call, and else JSON", async () => {
  const bytes = () => new Uint8Array([9, 1, 2, 3, 4, 9]).buffer;
  const views = {
    Uint8Array: new Uint8Array(bytes(), 1, 4),
    Buffer: Buffer.from(bytes(), 1, 4),
    ArrayBuffer: bytes().slice(1, 5),
    DataView: new DataView(bytes(), 1, 4),
    Float32Array: new Float32Array(bytes().slice(1, 5)),
    "another realm's Uint8Array": runInNewContext("new Uint8Array([1, 2, 3, 4])"),
    "another realm's ArrayBuffer": runInNewContext("new Uint8Array([1, 2, 3, 4]).buffer"),
  };
  for (const value of Object.values(views)) {
    tide.topic("bytes").publish(value);
    new Uint8Array(value.buffer ?? value).fill(7);
  }
  await hub.opened();
  for (const name of Object.keys(views)) {
    const { fields } = await hub.next(Client.publish);
    assert.deepEqual([fields[4], [...fields[7]]], [3, [1, 2, 3, 4]], name);
  }
  const values = ["text", 1.5, null, true, [1, { a: undefined }], new Date(0), Object.create(null)];
  for (const value of values) tide.topic("json").publish(value);
  await hub.opened();
  for (const value of values) {
    const { fields } = await hub.next(Client.publish);
    assert.equal(fields[7].toString(), JSON.stringify(value));
  }
});

test("options that are equal are equal in any order, and `Infinity` is no bound", () => {
  const outbox = { maxCount: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY };
  const one = createClient(hub.url, { WebSocket, identity: "equal", outbox });
  const two = createClient(hub.url, {
    outbox: { whenFull: "reject", ...outbox },
    identity: "equal",
    WebSocket,
  });
  assert.throws(() => createClient(hub.url, { identity: "equal" }), { code: "options_differ" });
  one.close();
  two.close();
});

test("addresses are taken with or without scheme and path", async () => {
  const { hostname, port } = new URL(hub.url);
  const opened = [];
  class Noting extends EventTarget {
    constructor(url) {
      super();
      opened.push(url);
    }
    send() {}
    close() {}
  }
  const expected = {
    [`${hostname}:${port}`]: `ws://${hostname}:${port}/v1/ws`,
    "localhost:7700": "ws://localhost:7700/v1/ws",
    "[::1]:7700": "ws://[::1]:7700/v1/ws",
    "hub.example.com": "wss://hub.example.com/v1/ws",
    "hub.example.com/rt": "wss://hub.example.com/rt/v1/ws",
    "https://hub.example.com/rt/": "wss://hub.example.com/rt/v1/ws",
    "http://hub.example.com:80/v1/ws?a=b": "ws://hub.example.com/v1/ws?a=b",
    "wss://hub.example.com/#here": "wss://hub.example.com/v1/ws",
  };
  for (const address of Object.keys(expected)) {
    const one = createClient(address, { WebSocket: Noting, identity: "addresses" });
    const count = opened.length;
    one.connect();
    await until(() => opened.length > count, address);
    one.close();
  }
  assert.deepEqual(opened, Object.values(expected));
  for (const address of ["", "/", "not an address", "ftp://hub", "ws://"]) {
    assert.throws(
      () => createClient(address),
      (error) => error instanceof TidewireError && error.code === "bad_address",
      address,
    );
  }
});
