// Tokens: when the application is asked for one, and what becomes of what it gives.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { WebSocket } from "ws";
import { createClient, TidewireError, TokenRefused } from "../src/index.ts";
import { Client, frame, Hub, ScriptedHub } from "./scripted-hub.mjs";
import { settled, until } from "./support.mjs";

let hub;
let tide;
let errors;

beforeEach(async () => {
  hub = await ScriptedHub.start();
});

afterEach(async () => {
  tide?.close();
  await hub.stop();
});

function connect(token) {
  tide = createClient(hub.url, { WebSocket, token });
  errors = [];
  tide.on("error", (error) => errors.push(error));
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
    return `a.b.${asked.length}`;
  });
  const told = [];
  tide.on("status", ({ state, reason, detail }) => told.push({ state, reason, detail }));
  await refuse();
  assert.equal(await greeted(), "a.b.2");
  assert.deepEqual(asked, ["sign_in", "refused"]);
  const [reason, detail] = ["bad_token", "the token has expired"];
  assert.deepEqual(told, [
    { state: "connecting", reason: undefined, detail: undefined },
    { state: "offline", reason, detail },
    { state: "connecting", reason, detail },
    { state: "online", reason: undefined, detail: undefined },
  ]);
});

test("the next token goes out on the same connection before the last one expires", async () => {
  const asked = [];
  connect(({ reason }) => {
    asked.push(reason);
    return `a.${reason}.${asked.length}`;
  });
  assert.equal(await greeted(1_000), "a.sign_in.1");
  for (const [expiresMs, token] of [
    [2_000, "a.expires.2"],
    [60_000, "a.expires.3"],
  ]) {
    const { fields } = await hub.next(Client.signIn);
    assert.equal(String(fields[2]), token);
    hub.send(frame(Hub.signedIn, { 1: fields[1], 3: expiresMs }));
  }
  assert.deepEqual(asked, ["sign_in", "expires", "expires"]);
  assert.equal(hub.connections, 1);
});

test("a token that cannot be had is asked for again, and its reason told", async () => {
  let fails = true;
  connect(() => {
    if (fails) throw new Error("the session is being renewed");
    return "a.b.late";
  });
  await until(() => tide.status.reason === "no_token");
  assert.equal(tide.status.state, "offline");
  assert.equal(tide.status.detail, "the session is being renewed");
  fails = false;
  tide.connect();
  assert.equal(await greeted(), "a.b.late");
});

test("what is no token goes to no hub, and is for another time", async () => {
  let given;
  connect(() => given);
  // A try that has begun on its own may have asked for the one before.
  const untilAsked = (holds) =>
    until(() => {
      tide.connect();
      return holds();
    });
  for (const [value, what] of [
    [undefined, "undefined"],
    [7, "number"],
    [{ token: "CANARY.b.c" }, "object"],
    [["CANARY.b.c"], "object"],
    ["", "0 characters"],
    ["<html>502 Bad Gateway</html>", "28 characters"],
    ["CANARY.b", "8 characters"],
    ["CANARY.b.c.d", "12 characters"],
    ["CANARY.b. c", "11 characters"],
    [`a.b.${"c".repeat(8_189)}`, "8193 characters"],
  ]) {
    given = value;
    const detail = `the function gave ${what}, not a JWT of at most 8,192 bytes`;
    await untilAsked(() => tide.status.state === "offline" && tide.status.detail === detail);
    assert.equal(tide.status.reason, "no_token");
  }
  assert.equal(hub.connections, 0);
  given = `a.b.${"c".repeat(8_188)}`;
  await untilAsked(() => hub.connections);
  assert.equal(await greeted(), given);
  assert.deepEqual(errors, []);
});

test("a token that cannot be had while the last one lasts is an error, and no more", async () => {
  const given = ["a.b.c", undefined];
  connect(() => given.shift());
  await greeted(1_100);
  await until(() => errors.length);
  assert.deepEqual([errors[0].code, errors[0].retryable], ["no_token", true]);
  assert.match(errors[0].detail, /^the function gave undefined, not a JWT/);
  assert.deepEqual(tide.status, { state: "online", storage: "memory" });
});

test("a token comes too late when the last one has ended", async () => {
  const signals = [];
  connect(({ signal }) => {
    signals.push(signal);
    return signals.length > 1 ? new Promise(() => {}) : "a.b.c";
  });
  await greeted(1_200);
  await until(() => signals[1]?.aborted);
  assert.equal(signals[0].aborted, false);
});

test("null ends the client, whenever it comes", async () => {
  connect(() => null);
  await until(() => tide.status.state === "closed");
  assert.equal(tide.status.reason, "token_refused");
  assert.equal(tide.status.detail, "there is no token");
  assert.ok(errors[0] instanceof TokenRefused);
  assert.equal(hub.connections, 0);
  tide.close();
  connect(({ reason }) => (reason === "expires" ? null : "a.b.c"));
  await greeted(1_000);
  await until(() => tide.status.state === "closed");
  assert.equal(tide.status.reason, "token_refused");
});

test("whoever throws TokenRefused ends the client, and everyone hears why", async () => {
  const cause = new Error("HTTP 401");
  const refused = new TokenRefused("you are logged out", { cause });
  assert.deepEqual([refused.code, refused.retryable], ["token_refused", false]);
  connect(async ({ reason }) => {
    if (reason === "expires") throw refused;
    return "a.b.c";
  });
  await greeted(1_000);
  const sub = tide.topic("t").subscribe(() => {});
  const waits = [sub.ready, tide.topic("t").publish(1), tide.topic("t").history(), tide.ping()];
  for (const outcome of waits) {
    const [how, error] = await settled(outcome, "it");
    assert.deepEqual([how, error instanceof TokenRefused], ["rejected", true]);
    assert.deepEqual([error.name, error.code], ["TokenRefused", "token_refused"]);
    assert.deepEqual([error.detail, error.cause], ["you are logged out", cause]);
  }
  const { state, reason, detail } = tide.status;
  assert.deepEqual([state, reason, detail], ["closed", "token_refused", "you are logged out"]);
  assert.deepEqual(
    errors.map(({ name, detail, cause }) => [name, detail, cause]),
    [["TokenRefused", "you are logged out", cause]],
  );
  assert.match(String(await tide.ping().catch((error) => error)), /^TokenRefused: ping: token_ref/);
  await hub.left();
});

test("a token that the hub refuses for good is a TokenRefused in the hub's words", async () => {
  connect("a.b.c");
  await refuse();
  await until(() => errors.length);
  assert.ok(errors[0] instanceof TokenRefused && errors[0] instanceof TidewireError);
  assert.deepEqual([errors[0].code, errors[0].detail], ["bad_token", "the token has expired"]);
  assert.equal(errors[0].retryable, false);
});

test("clients of one address and identity have one token, and others another", async () => {
  connect("CANARY");
  const options = { WebSocket, token: "two" };
  assert.throws(() => createClient(hub.url, options), {
    code: "options_differ",
    detail: "give all clients of one address and identity the same outbox and token or function",
  });
  const other = createClient(hub.url, { ...options, identity: "somebody else" });
  other.close();
  for (const token of [7, null, {}, "", "a".repeat(8_193)]) {
    assert.throws(() => createClient(hub.url, { WebSocket, token }), TypeError);
  }
  for (const shown of [JSON.stringify(tide), tide[Symbol.for("nodejs.util.inspect.custom")]?.()]) {
    assert.ok(!JSON.stringify(shown ?? "").includes("CANARY"));
  }
});
