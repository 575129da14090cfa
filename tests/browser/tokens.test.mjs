// A page whose visitor signs in: a token that is renewed, that ends, that is taken back, or allows less than was asked for.

import assert from "node:assert/strict";
import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createClient } from "@tidewire/client";
import { WebSocket } from "ws";
import { Browser } from "./support/browser.mjs";
import { Hub } from "./support/hub.mjs";
import { Site } from "./support/site.mjs";

const fileOf = (specifier) => fileURLToPath(import.meta.resolve(specifier));
const secret = randomBytes(48).toString("base64url");
const CONFIGURATION = `
admin_listen = "127.0.0.1:0"
allow_no_origin = true

[[auth.keys]]
algorithm = "HS256"
file = "tokens.secret"
leeway_seconds = 0
`;

let folder;
let site;
let hub;
let browser;
let backEnd;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "tidewire-tokens-"));
  writeFileSync(join(folder, "tokens.secret"), secret, { mode: 0o600 });
  writeFileSync(join(folder, "hub.toml"), CONFIGURATION);
  site = await Site.start(
    { "/client.js": fileOf("@tidewire/client"), "/page.js": fileOf("./tokens/page.js") },
    fileOf("./tokens/page.html"),
  );
  hub = await Hub.configured(join(folder, "hub.toml"), site.url);
  browser = await Browser.start();
  const token = tokenFor("back-end", 600, [{ topics: [">"], to: ["publish"] }]);
  backEnd = createClient(hub.url, { WebSocket, token });
});

after(async () => {
  backEnd?.close();
  await browser?.close();
  await site?.stop();
  await hub?.stop("SIGKILL");
  rmSync(folder, { recursive: true });
});

afterEach(async () => {
  await browser.closePages();
  assert.deepEqual(browser.errors.splice(0), []);
});

test("a token that expires is renewed on the connection that there is, and nothing is lost", async () => {
  const asked = [];
  const { page, sockets } = await visit(["orders.ada"], (reason) => {
    asked.push(reason);
    return { token: tokenFor("ada", 6) };
  });
  await live(page, "orders.ada");
  const published = [];
  while (asked.length < 3) {
    const data = published.push(`back-end: ${published.length}`) - 1;
    await Promise.all([backEnd.topic("orders.ada").publish(data), pause(20)]);
  }
  await page.waitForFunction(
    (count) => document.querySelectorAll("li").length >= count,
    published.length,
  );
  assert.deepEqual(await came(page, "orders.ada"), published);
  assert.deepEqual(asked, ["sign_in", "expires", "expires"]);
  assert.deepEqual(await told(page), ["connecting", "online"]);
  assert.equal(sockets.length, 1);
});

test("a token that cannot be had is told in the words of who gives none, until there is one", async () => {
  let fails = false;
  const error = "the session is being renewed";
  const { page } = await visit(["orders.ada"], () =>
    fails ? { error } : { token: tokenFor("ada", 6) },
  );
  await live(page, "orders.ada");
  fails = true;
  await status(page, `offline: no_token: ${error}`).waitFor();
  // The last token lasts as long as it says, and the page hears before that there is no next one.
  const said = await page.evaluate(() => globalThis.said);
  assert.deepEqual(said.slice(0, 3), ["connecting", "online", `TidewireError: no_token: ${error}`]);
  assert.ok(said.indexOf("offline: bad_token: the token has expired") > 2, said.join("\n"));
  await backEnd.topic("orders.ada").publish("meanwhile");
  fails = false;
  await status(page, "online").waitFor();
  await line(page, "orders.ada", "back-end: meanwhile").waitFor();
});

test("a token that has expired already is asked for once more, and ends the client in the hub's words", async () => {
  const asked = [];
  const { page } = await visit(["orders.ada"], (reason) => {
    asked.push(reason);
    return { token: tokenFor("ada", -60) };
  });
  const words = "bad_token: the token has expired";
  await status(page, `closed: ${words}`).waitFor();
  await line(page, "orders.ada", `TokenRefused: ${words}`).waitFor();
  await alert(page, `TokenRefused: ${words}`).waitFor();
  assert.deepEqual(asked, ["sign_in", "refused"]);
});

test("who will have no more tokens hears why in the application's words", async () => {
  const { page } = await visit(["orders.ada"], (reason) =>
    reason === "expires" ? { refusal: "you are logged out" } : { token: tokenFor("ada", 3) },
  );
  const words = "token_refused: you are logged out";
  await status(page, `closed: ${words}`).waitFor();
  await line(page, "orders.ada", `TokenRefused: ${words}`).waitFor();
  await alert(page, `TokenRefused: ${words}`).waitFor();
});

test("a token that is taken back ends its page in the hub's words, and no other", async () => {
  const token = tokenFor("ada", 600);
  const { page } = await visit(["orders.ada"], () => ({ token }));
  const other = await visit(["orders.bob"], () => ({ token: tokenFor("bob", 600) }));
  await live(page, "orders.ada");
  await live(other.page, "orders.bob");
  const words = "bad_token: the token was revoked";
  await revoke(token);
  await stood(page, `offline: ${words}`);
  await status(page, `closed: ${words}`).waitFor();
  await line(page, "orders.ada", `TokenRefused: ${words}`).waitFor();
  await backEnd.topic("orders.bob").publish("still here");
  await line(other.page, "orders.bob", "back-end: still here").waitFor();
  assert.deepEqual(await told(other.page), ["connecting", "online"]);
});

test("who is given another token where one was taken back misses nothing", async () => {
  const tokens = [];
  const { page } = await visit(["orders.cleo"], () => {
    tokens.push(tokenFor("cleo", 600));
    return { token: tokens.at(-1) };
  });
  await live(page, "orders.cleo");
  await backEnd.topic("orders.cleo").publish("before");
  await line(page, "orders.cleo", "back-end: before").waitFor();
  await revoke(tokens[0]);
  await stood(page, "offline: bad_token: the token was revoked");
  await backEnd.topic("orders.cleo").publish("after");
  await line(page, "orders.cleo", "back-end: after").waitFor();
  assert.deepEqual(await came(page, "orders.cleo"), ["back-end: before", "back-end: after"]);
  assert.equal(tokens.length, 2);
});

test("a topic that the token does not allow is refused in words, and the others go on", async () => {
  const both = [{ topics: ["orders.{sub}", "team.news"], to: ["subscribe"] }];
  let isLess = false;
  const { page } = await visit(["orders.ada", "orders.bob", "team.news"], () => ({
    token: isLess ? tokenFor("ada", 600) : tokenFor("ada", 6, both),
  }));
  const refusal = "TidewireError: forbidden: neither a rule nor a token allows this";
  await line(page, "orders.bob", refusal).waitFor();
  for (const name of ["orders.ada", "team.news"]) {
    await live(page, name);
    await backEnd.topic(name).publish("one");
    await line(page, name, "back-end: one").waitFor();
  }
  // The next token allows less.
  isLess = true;
  await line(page, "team.news", refusal).waitFor();
  await backEnd.topic("orders.ada").publish("two");
  await line(page, "orders.ada", "back-end: two").waitFor();
  assert.deepEqual(await came(page, "orders.bob"), [refusal]);
  assert.deepEqual(await told(page), ["connecting", "online"]);
});

/** A page that listens to topics by tokens that `give` gives, and what sockets it opens. */
async function visit(names, give) {
  const page = await browser.open(site.url);
  const sockets = [];
  page.on("websocket", (socket) => sockets.push(socket));
  await page.exposeFunction("tokenFor", give);
  await page.waitForFunction(() => globalThis.enter);
  await page.evaluate(([url, names]) => globalThis.enter(url, names), [hub.url, names]);
  return { page, sockets };
}

/** A token that lasts so long. */
function tokenFor(subject, seconds, allow = [{ topics: ["orders.{sub}"], to: ["subscribe"] }]) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const iat = Math.floor(Date.now() / 1_000);
  const claims = { sub: subject, jti: randomUUID(), iat, exp: iat + seconds, tidewire: { allow } };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

/** Takes a token back, as an operator does. */
async function revoke(token) {
  const { jti } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  const response = await fetch(`${await hub.operators}/v1/revocations`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jti }),
  });
  assert.equal(response.status, 200, await response.text());
}

/** Waits until the client has stood so. */
function stood(page, text) {
  return page.waitForFunction((text) => globalThis.told.includes(text), text);
}

const status = (page, text) => page.getByRole("status").getByText(text, { exact: true });
const alert = (page, text) => page.getByRole("alert").getByText(text, { exact: true });
const list = (page, name) => page.getByTitle(name);
const line = (page, name, text) => list(page, name).getByText(text, { exact: true });
const live = (page, name) =>
  list(page, name).and(page.locator(".live")).waitFor({ state: "attached" });
const came = (page, name) => list(page, name).locator("li").allTextContents();
const told = (page) => page.evaluate(() => globalThis.told);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
