// What goes wrong is told by its name, with a sentence, and so that it can be read where it is printed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { WebSocket } from "ws";
import { clientCodes, protocolCodes } from "../src/engine/tables.ts";
import { createClient, TidewireError } from "../src/index.ts";
import { createClient as createWithoutWasm } from "../src/js.ts";
import { initWasm } from "../src/slim.ts";
import { Client, frame, Hub, ScriptedHub } from "./scripted-hub.mjs";
import { forbidEngines, settled, until } from "./support.mjs";

const nowhere = "ws://127.0.0.1:9";
const sentence = /: [^:]*\w+ \w+[^:]*$/;

/** What rejects, or is told. */
const errorOf = async (promise) => {
  const [how, error] = await settled(promise, "it");
  assert.equal(how, "rejected");
  return error;
};

test("every code comes with a sentence", () => {
  const own = ["memory_only", "bad_payload", "handler_failed", "engine_failed", "wasm_blocked"];
  const links = ["no_websocket", "link_blocked", "not_reached", "wrong_protocol"];
  const given = ["unknown", "bad_address", "options_differ"];
  for (const code of [...protocolCodes, ...clientCodes, ...own, ...links, ...given]) {
    const { message, detail } = new TidewireError(code, "what was tried");
    assert.match(message, new RegExp(`^what was tried: ${code}: .*\\w+ \\w+`));
    assert.ok(message.endsWith(detail));
  }
});

// First of those that need an engine: Node's own `Response` compiles something with its first use.
test("a message that no outbox takes is told with what to do", async () => {
  const tide = createClient(nowhere, {
    WebSocket,
    identity: "larger",
    outbox: { maxBytes: 10 },
  });
  const error = await errorOf(tide.topic("t").publish("x".repeat(100)));
  assert.equal(error.code, "larger_than_outbox");
  assert.match(error.message, /larger_than_outbox: give the option outbox more room$/);
  tide.close();
});

/** Where a client cannot work at all. */
const unfit = {
  no_websocket: () => {
    const { WebSocket } = globalThis;
    globalThis.WebSocket = undefined;
    return [{}, () => Object.assign(globalThis, { WebSocket })];
  },
  "wasm_blocked|engine_failed": () => [{ WebSocket }, forbidEngines()],
};

for (const [code, make] of Object.entries(unfit)) {
  test(`${code} is told with its sentence to everyone who asks, before and after`, async () => {
    const [options, allow] = make();
    try {
      const tide = createClient(nowhere, { ...options, identity: code });
      const topic = tide.topic("t");
      const told = [];
      tide.on("error", ({ message }) => told.push(message));
      const asks = [
        () => topic.publish(1),
        () => topic.subscribe(() => {}).ready,
        () => topic.history(),
        () => topic.messages().next(),
      ];
      const before = asks.map((ask) => errorOf(ask()));
      const errors = await Promise.all(before);
      for (const ask of [...asks, () => tide.ping()]) errors.push(await errorOf(ask()));
      assert.ok(tide.status.detail);
      for (const error of errors) {
        assert.match(error.code, new RegExp(`^(${code})$`));
        assert.ok(error.message.endsWith(`${error.code}: ${tide.status.detail}`), error.message);
      }
      assert.equal(told.length, 1);
      assert.ok(told[0].endsWith(tide.status.detail));
    } finally {
      allow();
    }
  });
}

/** Takes a global away, until the function that it gives is called. */
function without(name) {
  const property = Object.getOwnPropertyDescriptor(globalThis, name);
  delete globalThis[name];
  return () => Object.defineProperty(globalThis, name, property);
}

for (const name of ["crypto", "performance", "TextDecoder", "TextEncoder"]) {
  test(`the entry without WebAssembly says that ${name} is missing, and blames nothing else`, async () => {
    const give = [without("WebAssembly"), without(name)];
    try {
      const tide = createWithoutWasm(nowhere, { WebSocket, identity: name });
      const told = new Promise((done) => tide.on("error", done));
      tide.connect();
      await settled(told, "the error");
      assert.deepEqual(
        [tide.status.reason, tide.status.detail],
        ["engine_failed", `there is no ${name}`],
      );
    } finally {
      for (const back of give) back();
    }
  });
}

test("the entry without WebAssembly says that URL or WebSocket is missing", async () => {
  let give = without("URL");
  try {
    assert.throws(() => createWithoutWasm(nowhere), /URL/);
  } finally {
    give();
  }
  const socket = Object.hasOwn(globalThis, "WebSocket") ? without("WebSocket") : () => {};
  give = without("WebAssembly");
  try {
    const tide = createWithoutWasm(nowhere, { identity: "no WebSocket" });
    tide.on("error", () => {});
    const error = await errorOf(tide.topic("t").publish(1));
    assert.match(error.message, /no_websocket: there is no WebSocket: give createClient/);
  } finally {
    give();
    socket();
  }
});

test("the entry without WebAssembly works without it", async () => {
  const give = without("WebAssembly");
  const hub = await ScriptedHub.start();
  try {
    const tide = createWithoutWasm(hub.url, { WebSocket });
    tide.connect();
    await hub.welcome();
    await until(() => tide.status.state === "online");
    tide.close();
  } finally {
    give();
    await hub.stop();
  }
});

test("a ping that waits ends with what has ended the client; an idle client says what to call", async () => {
  const hub = await ScriptedHub.start();
  const online = async (identity) => {
    const tide = createClient(hub.url, { WebSocket, identity });
    tide.on("error", () => {});
    tide.connect();
    await hub.welcome();
    await until(() => tide.status.state === "online");
    return tide;
  };
  const one = await online("closes");
  const closing = errorOf(one.ping());
  one.close();
  assert.match((await closing).message, /^ping: closed: /);
  assert.match((await errorOf(one.ping())).message, /^ping: closed: /);

  const two = await online("is sent away");
  const sent = errorOf(two.ping());
  await hub.next(Client.heartbeat);
  hub.send(frame(Hub.goodbye, { 1: 4, 3: "the token has ended" }));
  hub.cut();
  assert.equal((await sent).message, "ping: bad_token: the token has ended");
  assert.equal((await errorOf(two.ping())).message, "ping: bad_token: the token has ended");

  const idle = createClient(nowhere, { WebSocket, identity: "idle" });
  assert.match((await errorOf(idle.ping())).message, /^ping: link_lost: .*call connect\(\)/);
  assert.equal(idle.status.state, "idle");
  idle.close();
  await hub.stop();
});

test("what JSON would change on the way is refused, however deep it lies", async () => {
  const tide = createClient(nowhere, { WebSocket, identity: "values" });
  class Hidden {
    #secret = 1;
    get secret() {
      return this.#secret;
    }
  }
  const parts = [
    () => {},
    Symbol("s"),
    [undefined],
    // biome-ignore lint/suspicious/noSparseArray: that is what is tried.
    [1, , 2],
    new Date(Number.NaN),
    new Headers({ a: "b" }),
    new URLSearchParams("a=b"),
    (function* () {})(),
    new Hidden(),
    new Map([[1, 2]]),
    new WeakSet(),
    new FormData(),
    new ReadableStream(),
    new DataView(new ArrayBuffer(1)),
    new ArrayBuffer(1),
    Object.assign(new Error("e"), { code: "E" }),
    Number.NaN,
  ];
  for (const part of parts) {
    for (const value of [{ a: part }, [part], { a: [{ b: part }] }]) {
      const error = await errorOf(tide.topic("t").publish(value));
      assert.ok(error instanceof TypeError, `${inspect(part)} was taken`);
      assert.match(error.message, /^publish to t: [\w ]+ is no JSON; give/, inspect(part));
      assert.throws(() => tide.topic("t").send(value), { code: "bad_value" });
    }
  }
  class Point {
    x = 1;
  }
  const kept = [{ a: undefined }, [], {}, Object.create(null), new Point(), new Date(0), [null]];
  for (const value of [...kept, kept])
    tide
      .topic("t")
      .publish(value)
      .catch(() => {});
  assert.equal(tide.outbox.count, kept.length + 1);
  const mine = new Error("mine");
  const throws = { toJSON: () => assert.fail(mine) };
  const error = await errorOf(tide.topic("t").publish(throws));
  assert.equal(error.cause, mine);
  assert.doesNotMatch(error.message, /mine/);
  tide.close();
});

test("an event that nobody knows, and an id that is none, are mistakes", () => {
  const tide = createClient(nowhere, { WebSocket, identity: "events" });
  const sub = tide.topic("t").subscribe(() => {});
  const mistake = (call, message) => assert.throws(call, { code: "bad_argument", message });
  for (const event of ["stauts", null, undefined, "", "gap", ["status"], "toString"]) {
    mistake(() => tide.on(event, () => {}), /^event .*: give status or outbox or error$/);
  }
  for (const event of ["status", null, "gaps"]) {
    mistake(() => sub.on(event, () => {}), /^event .*: give gap or refused or change$/);
  }
  mistake(() => tide.on("status"), /^status: give a function/);
  for (const id of ["1", null, undefined, -1, 1.5, tide.topic("t").publish(1)]) {
    mistake(() => tide.outbox.cancel(id), /^id: give that of a publish/);
  }
  tide.outbox.cancel(4711);
  tide.close();
});

test("a name that is none is told with all rules, and not at length", () => {
  const tide = createClient(nowhere, { WebSocket, identity: "names" });
  const names = ["", "a..b", "a b", "a\u0000", "a.b*", ">.a", "ä".repeat(128), "x".repeat(100_000)];
  for (const name of names) {
    assert.throws(
      () => tide.pattern(name),
      ({ code, message }) => {
        assert.equal(code, "bad_name");
        assert.match(
          message,
          /: bad_name: give words joined by dots.*spaces.*\* and >.*255 bytes$/,
        );
        return message.length < 200;
      },
    );
  }
  tide.close();
});

test("the engine that could not be had is told by what was thrown, and a wrong kind by what to give", async () => {
  const failures = [
    "http://127.0.0.1:9/engine.wasm",
    new URL("file:///engine.wasm"),
    new Uint8Array([1, 2, 3]),
    () => Promise.reject(new Error("no such file")),
  ];
  for (const source of failures) {
    const error = await errorOf(initWasm(typeof source === "function" ? source() : source));
    assert.ok(error instanceof TidewireError);
    assert.equal(error.code, "engine_failed");
    assert.ok(error.cause instanceof Error);
    assert.match(error.message, sentence);
  }
  for (const source of [undefined, null, 5, {}, [], () => {}]) {
    const error = await errorOf(initWasm(source));
    assert.ok(error instanceof TypeError);
    assert.equal(error.code, "bad_argument");
    assert.match(error.message, /^source: give .*in Node/);
  }
});

test("why the last try failed is told until there is a connection", async () => {
  let hub;
  class Late extends WebSocket {
    constructor(_, protocols) {
      super(hub?.url ?? nowhere, protocols);
    }
  }
  const tide = createClient(nowhere, { WebSocket: Late, identity: "reasons" });
  const told = [];
  tide.on("status", ({ state, reason, detail }) => told.push([state, reason, !!detail]));
  tide.connect();
  await until(() => tide.status.state === "offline");
  hub = await ScriptedHub.start();
  tide.connect();
  await hub.welcome();
  await until(() => tide.status.state === "online");
  assert.deepEqual(told, [
    ["connecting", undefined, false],
    ["offline", "not_reached", true],
    ["connecting", "not_reached", true],
    ["online", undefined, false],
  ]);
  tide.close();
  await hub.stop();
});

/** A socket that says no more than that it failed, as those of Chromium and of Node 22 may. */
class Silent extends EventTarget {
  constructor() {
    super();
    queueMicrotask(() => this.dispatchEvent(new Event("error")));
  }
  send() {}
  close() {}
}

test("an error of a socket that never opened is its end, though no close follows", async () => {
  const tide = createClient(nowhere, { WebSocket: Silent, identity: "silent" });
  tide.connect();
  await until(() => tide.status.state === "offline");
  assert.deepEqual([tide.status.reason, tide.status.attempts], ["not_reached", 1]);
  tide.close();
});

test("what the package hands out can be read where Node prints it", async () => {
  const built = await import(pathToFileURL("wasm-client/js/dist/index.js").href);
  const tide = built.createClient(nowhere, { WebSocket, identity: "printed" });
  const topic = tide.topic("t");
  const publishing = topic.publish(1);
  publishing.catch(() => {});
  const sub = topic.subscribe(() => {});
  const printed = {
    [inspect(topic.messages())]: "{ messages: 't', state: 'starting', lag: 0 }",
    [inspect(publishing)]: "{ publish: 1 }",
    [inspect(tide.outbox)]: "{ count: 1, bytes: 1 }",
    [inspect(topic)]: "{ topic: 't' }",
    [inspect(tide.pattern("*"))]: "{ pattern: '*' }",
    [inspect(sub)]: "{ subscription: 't', state: 'starting', lag: 0 }",
  };
  for (const [is, wanted] of Object.entries(printed)) assert.equal(is, wanted);
  assert.deepEqual(Object.keys(JSON.parse(JSON.stringify(tide))), [
    "client",
    "status",
    "outbox",
    "sendsDropped",
  ]);
  assert.deepEqual(JSON.parse(JSON.stringify(tide)).outbox, { count: 1, bytes: 1 });
  tide.close();
  const error = await errorOf(topic.history());
  assert.match(inspect(error), /^TidewireError: history of t: closed: /);
});
