// The link is what the status says: what is in doubt is asked, what is dead is given up, and why is told.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { WebSocket } from "ws";
import { createClient } from "../src/index.ts";
import { Client, frame, Hub, ScriptedHub } from "./scripted-hub.mjs";
import { enterPage, settled, until } from "./support.mjs";

/** The close code of a frame that the hub cannot read. */
const badFrame = 4_001;

const doubts = {
  online: (page) => page.tell("online"),
  offline: (page) => page.tell("offline"),
  "being shown again": (page) => page.tell("visibilitychange"),
  "coming from the cache": (page) => page.tell("pageshow", { persisted: true }),
  connect: (_, tide) => tide.connect(),
};

/** A client that is online at a hub. */
async function connected(hub) {
  const tide = createClient(hub.url, { WebSocket });
  tide.connect();
  await hub.welcome();
  await until(() => tide.status.state === "online");
  return tide;
}

for (const [name, doubt] of Object.entries(doubts)) {
  test(`${name}: the hub is asked, and an answer settles it`, async () => {
    const page = enterPage();
    const hub = await ScriptedHub.start();
    const tide = await connected(hub);
    const told = [];
    tide.on("status", ({ state, probing }) => told.push([state, probing]));
    doubt(page, tide);
    const { fields } = await hub.next(Client.heartbeat);
    assert.deepEqual([tide.status.state, tide.status.probing], ["online", true]);
    hub.send(frame(Hub.heartbeat, { 1: fields[1] }));
    await until(() => !tide.status.probing);
    assert.deepEqual(told, [
      ["online", true],
      ["online", undefined],
    ]);
    assert.equal(hub.connections, 1);
    tide.close();
    page.leave();
    await hub.stop();
  });
}

test("a link that does not answer is given up, and another one made", async () => {
  const page = enterPage();
  const hub = await ScriptedHub.start();
  const tide = await connected(hub);
  hub.freeze();
  const states = [];
  tide.on("status", ({ state, reason }) => {
    states.push(state);
    assert.equal(reason, state === "online" ? undefined : "hub_silent");
  });
  page.tell("online");
  const ping = settled(tide.ping(), "the ping", 10_000);
  assert.deepEqual(await ping.then(([how, { code }]) => [how, code]), ["rejected", "link_lost"]);
  await hub.welcome();
  await until(() => tide.status.state === "online");
  assert.deepEqual([hub.connections, states], [2, ["online", "offline", "connecting", "online"]]);
  tide.close();
  page.leave();
  await hub.stop();
});

test("a connection that is being set up on a network that is gone is set up anew", async () => {
  const page = enterPage();
  const server = createServer().listen(0, "127.0.0.1");
  const asked = [];
  server.on("upgrade", (_, socket) => asked.push(socket));
  await once(server, "listening");
  const tide = createClient(`127.0.0.1:${server.address().port}`, { WebSocket });
  tide.connect();
  await until(() => asked.length === 1);
  page.tell("online");
  await until(() => asked.length === 2);
  assert.equal(tide.status.state, "connecting");
  tide.close();
  page.leave();
  for (const socket of asked) socket.destroy();
  server.close();
});

test("a ping gives the time to the hub and back", async () => {
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  await assert.rejects(tide.ping(), { code: "link_lost" });
  tide.connect();
  await hub.welcome();
  await until(() => tide.status.state === "online");
  const pings = [tide.ping(), tide.ping()];
  const { fields } = await hub.next(Client.heartbeat);
  hub.send(frame(Hub.heartbeat, {}));
  hub.send(frame(Hub.heartbeat, { 1: fields[1] }));
  for (const ms of await Promise.all(pings)) assert.ok(ms >= 0);
  assert.equal(tide.status.probing, undefined);
  tide.close();
  await hub.stop();
});

test("a constructor that throws is a failed connection, counted, and connect tries again at once", async () => {
  let tries = 0;
  class Refusing {
    constructor() {
      tries++;
      throw new DOMException("not from this page", "SecurityError");
    }
  }
  const tide = createClient("ws://127.0.0.1:9", { WebSocket: Refusing });
  const errors = [];
  tide.on("error", (error) => errors.push(error));
  tide.connect();
  for (let count = 1; count <= 20; count++) {
    await until(() => tide.status.state === "offline" && tries === count, `try ${count}`);
    const { reason, detail, attempts } = tide.status;
    assert.deepEqual([reason, attempts], ["link_blocked", count]);
    assert.match(detail, /not from this page/);
    tide.connect();
  }
  assert.deepEqual(errors, []);
  tide.close();
});

test("why there is no connection is told apart as far as anyone says", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  server.on("upgrade", (_, socket) => socket.end("HTTP/1.1 404 Not Found\r\n\r\n"));
  await once(server, "listening");
  class Chatting extends EventTarget {
    protocol = "chat";
    constructor() {
      super();
      setTimeout(() => this.dispatchEvent(new Event("open")));
    }
    send() {}
    close() {}
  }
  const cases = [
    [WebSocket, "not_reached", /404/],
    [Chatting, "wrong_protocol", /chat/],
  ];
  for (const [WebSocket, reason, detail] of cases) {
    const tide = createClient(`127.0.0.1:${server.address().port}`, { WebSocket });
    tide.connect();
    await until(() => tide.status.state === "offline");
    assert.equal(tide.status.reason, reason);
    assert.match(tide.status.detail, detail);
    tide.close();
  }
  server.close();
});

test("a program is told in words why its handshake is refused, and a page asks for nothing", async () => {
  const asked = [];
  let status;
  const server = createServer(({ url }, response) => {
    asked.push(url);
    response.writeHead(status).end(`no programs here${" ".repeat(300)}\n`);
  });
  server.on("upgrade", (_, socket) => socket.end("HTTP/1.1 403 Forbidden\r\n\r\n"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const detailAt = async (path) => {
    const tide = createClient(`127.0.0.1:${server.address().port}/${path}`, { WebSocket });
    tide.connect();
    await until(() => tide.status.state === "offline");
    const { reason, detail, attempts } = tide.status;
    assert.deepEqual([reason, attempts], ["not_reached", 1]);
    tide.close();
    return detail;
  };
  try {
    status = 403;
    assert.equal(await detailAt("program"), "HTTP 403: no programs here");
    // What a hub answers to whoever it would take.
    status = 426;
    assert.match(await detailAt("late"), /^Unexpected server response: 403$/);
    globalThis.location = new URL("http://localhost/");
    assert.match(await detailAt("page"), /^Unexpected server response: 403$/);
    assert.deepEqual(asked, ["/program/v1/ws", "/late/v1/ws"]);
  } finally {
    delete globalThis.location;
    server.closeAllConnections();
    server.close();
  }
});

test("what the hub says in words is told", async () => {
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  const errors = [];
  tide.on("error", (error) => errors.push(error));
  const refused = tide.topic("t").subscribe(() => {});
  await hub.welcome();
  const asked = await hub.next(Client.subscribe);
  hub.send(frame(Hub.failed, { 1: asked.fields[1], 2: 5, 4: "ask for the rule of t" }));
  await assert.rejects(refused.ready, {
    code: "forbidden",
    message: "subscribe to t: forbidden: ask for the rule of t",
    detail: "ask for the rule of t",
  });
  const publishing = tide.topic("t").publish(1);
  const handle = await hub.opened();
  await hub.next(Client.publish);
  hub.send(frame(Hub.refused, { 1: handle, 2: 1, 3: 1, 4: 7, 7: "at most 10 bytes" }));
  await assert.rejects(publishing, { message: "publish to t: too_large: at most 10 bytes" });
  assert.deepEqual(errors, [], "what a promise told is told once");
  hub.send(frame(Hub.goodbye, { 1: 4, 3: "the token has ended" }));
  hub.cut();
  await until(() => tide.status.state === "closed");
  assert.deepEqual([tide.status.reason, tide.status.detail], ["bad_token", "the token has ended"]);
  assert.match(errors[0].message, /bad_token: the token has ended/);
  tide.close();
  await hub.stop();
});

test("a hub that stops says why in a sentence, and when the client comes back", async () => {
  const { now } = Date;
  const hub = await ScriptedHub.start();
  const tide = await connected(hub);
  Date.now = () => 1_000_000;
  try {
    hub.send(frame(Hub.goodbye, { 1: 15, 2: 60_000, 3: "the hub is stopping" }));
    hub.close(4_015, "draining");
    await until(() => tide.status.state === "offline");
    const { reason, detail, retryAt } = tide.status;
    assert.deepEqual([reason, detail, retryAt], ["draining", "the hub is stopping", 1_060_000]);
    tide.connect();
    await hub.welcome();
    hub.close(4_019, "overloaded");
    await until(() => tide.status.state === "offline");
    assert.deepEqual([tide.status.reason, tide.status.detail], ["overloaded", undefined]);
  } finally {
    Date.now = now;
    tide.close();
    await hub.stop();
  }
});

test("a code that blames the client, again and again, ends it with that code", async () => {
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  tide.on("error", () => {});
  tide.on("status", ({ state }) => state === "offline" && setImmediate(() => tide.connect()));
  tide.connect();
  while (tide.status.state !== "closed") {
    await hub.welcome();
    const { connections } = hub;
    hub.close(badFrame);
    await until(() => hub.connections > connections || tide.status.state === "closed");
  }
  assert.equal(tide.status.reason, "bad_frame");
  await hub.stop();
});

test("what a page publishes as it goes still goes, whoever listened first", async () => {
  const page = enterPage();
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  tide.topic("bye").publish("hello");
  await hub.welcome();
  await hub.opened();
  await hub.next(Client.publish);
  for (const type of ["pagehide", "visibilitychange"]) {
    const target = type === "pagehide" ? page.window : page.document;
    target.addEventListener(type, () => void tide.topic("bye").publish(type));
  }
  page.tell("pagehide", { persisted: true });
  assert.equal((await hub.next(Client.publish)).fields[7].toString(), '"pagehide"');
  page.document.visibilityState = "hidden";
  page.tell("visibilitychange");
  assert.equal((await hub.next(Client.publish)).fields[7].toString(), '"visibilitychange"');
  await until(() => tide.status.reason === "suspended");
  page.document.visibilityState = "visible";
  page.tell("pageshow", { persisted: true });
  await hub.welcome();
  assert.equal(hub.connections, 2);
  tide.close();
  page.leave();
  await hub.stop();
});

test("close ends a process, also on a link that has died", async () => {
  const hub = await ScriptedHub.start();
  const entry = pathToFileURL("wasm-client/js/dist/index.js").href;
  const program = `
    const { WebSocket } = await import("ws");
    const { createClient } = await import(${JSON.stringify(entry)});
    const tide = createClient(${JSON.stringify(hub.url)}, { WebSocket });
    process.stdin.once("data", () => { process.stdin.destroy(); tide.close(); });
    tide.connect();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  const exit = once(child, "exit");
  await hub.welcome();
  hub.freeze();
  child.stdin.write("close\n");
  const [, [code]] = await settled(exit, "the process", 10_000);
  assert.equal(code, 0);
  await hub.stop();
});

test("a machine that has slept asks whether its link is still there", async () => {
  const { setInterval } = globalThis;
  const { now } = Date;
  let wake;
  globalThis.setInterval = (call) => {
    wake = call;
    return 0;
  };
  const hub = await ScriptedHub.start();
  const tide = createClient(hub.url, { WebSocket });
  try {
    tide.connect();
    await hub.welcome();
    await until(() => tide.status.state === "online");
    wake();
    assert.equal(tide.status.probing, undefined);
    Date.now = () => now() + 600_000;
    wake();
    await until(() => tide.status.probing);
    await hub.next(Client.heartbeat);
  } finally {
    Object.assign(globalThis, { setInterval });
    Date.now = now;
    tide.close();
    await hub.stop();
  }
});
