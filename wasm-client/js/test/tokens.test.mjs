// Tokens: when the application is asked for one, and what becomes of what it gives.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { WebSocket } from "ws";
import { createClient } from "../src/index.ts";
import { Client, frame, Hub, ScriptedHub } from "./scripted-hub.mjs";
import { until } from "./support.mjs";

let hub;
let tide;

beforeEach(async () => {
  hub = await ScriptedHub.start();
});

afterEach(async () => {
  tide?.close();
  await hub.stop();
});

function connect(token) {
  tide = createClient(hub.url, { WebSocket, token });
  tide.on("error", () => {});
  tide.connect();
  return tide;
}

/** Takes the next sign-in; gives its token. */
async function greeted(expiresMs = 0) {
  const { fields } = await hub.next(Client.hello);
  hub.send(frame(Hub.welcome, { 1: 7, 2: 30_000, 3: 65_536, 4: 100, 7: 1 << 12, 9: expiresMs }));
  await until(() => tide.status.state === "online");
  return String(fields[3]);
}

/** Sends the client away for its token. */
async function refuse() {
  await hub.next(Client.hello);
  hub.send(frame(Hub.goodbye, { 1: 4, 3: "the token has expired" }));
  hub.close(4004, "bad_token");
}

test("a token signs in, and one that is refused has no successor", async () => {
  connect("a.b.c");
  assert.equal(await greeted(), "a.b.c");
  tide.close();
  connect("a.b.c");
  await refuse();
  await until(() => tide.status.state === "closed");
  assert.equal(tide.status.reason, "bad_token");
  assert.equal(tide.status.detail, "the token has expired");
});

test("whoever can be asked for tokens is asked again where one is refused, once", async () => {
  const asked = [];
  connect(async ({ reason, signal }) => {
    asked.push(reason);
    assert.equal(signal.aborted, false);
    return `token ${asked.length}`;
  });
  await refuse();
  assert.equal(await greeted(), "token 2");
  assert.deepEqual(asked, ["sign_in", "refused"]);
});

test("the next token goes out on the same connection before the last one expires", async () => {
  const asked = [];
  connect(({ reason }) => {
    asked.push(reason);
    return reason;
  });
  assert.equal(await greeted(300), "sign_in");
  for (let request = 1; request < 3; request++) {
    const { fields } = await hub.next(Client.signIn);
    assert.equal(String(fields[2]), "expires");
    hub.send(frame(Hub.signedIn, { 1: fields[1], 3: 300 }));
  }
  assert.deepEqual(asked.slice(0, 3), ["sign_in", "expires", "expires"]);
  assert.equal(hub.connections, 1);
});

test("a token that cannot be had is asked for again, and its reason told", async () => {
  let fails = true;
  connect(() => {
    if (fails) throw new Error("the session is being renewed");
    return "late";
  });
  await until(() => tide.status.reason === "no_token");
  assert.equal(tide.status.state, "offline");
  assert.equal(tide.status.detail, "the session is being renewed");
  fails = false;
  tide.connect();
  assert.equal(await greeted(), "late");
});

test("null ends the client", async () => {
  connect(() => null);
  await until(() => tide.status.state === "closed");
  assert.equal(tide.status.reason, "token_refused");
  assert.equal(hub.connections, 0);
});

test("clients of one address and identity have one token, and others another", async () => {
  connect("CANARY");
  const options = { WebSocket, token: "two" };
  assert.throws(() => createClient(hub.url, options), { code: "options_differ" });
  const other = createClient(hub.url, { ...options, identity: "somebody else" });
  other.close();
  assert.throws(() => createClient(hub.url, { WebSocket, token: 7 }), TypeError);
  for (const shown of [JSON.stringify(tide), tide[Symbol.for("nodejs.util.inspect.custom")]?.()]) {
    assert.ok(!JSON.stringify(shown ?? "").includes("CANARY"));
  }
});
