// The chat in React as its users have it: built, and served beside a hub whose rules it lives under.

import assert from "node:assert/strict";
import { resolve } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { createClient } from "@tidewire/client";
import { build, preview } from "vite";
import { WebSocket } from "ws";
import { Browser } from "./support/browser.mjs";
import { Hub } from "./support/hub.mjs";
import { CuttableLink } from "./support/link.mjs";

const ROOT = resolve(import.meta.dirname, "../..");
const CHAT = resolve(ROOT, "web/examples/chat");
/** Built for development: there React enters and leaves everything twice, and warns. */
const DEVELOPMENT = resolve(ROOT, "target/chat-development");

let link;
let site;
let hub;
let browser;

before(async () => {
  process.env.NODE_ENV = "development";
  await build({
    root: CHAT,
    logLevel: "silent",
    build: { outDir: DEVELOPMENT, emptyOutDir: true },
  });
  // The page's origin is in the hub's configuration, and the hub's port is not known before it runs.
  link = await CuttableLink.start();
  site = await serve(DEVELOPMENT, { proxy: { "/v1/ws": { target: link.url, ws: true } } });
  hub = await Hub.configured(resolve(CHAT, "hub.toml"), new URL(url(site)).origin);
  link.port = hub.port;
  browser = await Browser.start();
});

after(async () => {
  await browser?.close();
  await site?.close();
  await link?.stop();
  await hub?.stop("SIGKILL");
});

afterEach(async () => {
  await browser.closePages();
  assert.deepEqual(browser.errors.splice(0), []);
});

test("pages talk, what they write is text, and who comes later reads it", async () => {
  const [ada, ben] = [await visit("<b>Ada</b>"), await visit("Ben")];
  await write(ada, "<img src=x onerror=alert(1)> & &amp;");
  await heard(ben, "<img src=x onerror=alert(1)> & &amp;");
  await write(ben, "High water at nine");
  const late = await visit("Cleo");
  for (const page of [ada, ben, late]) {
    await heard(page, "High water at nine");
    assert.deepEqual(await said(page), [
      "<b>Ada</b>: <img src=x onerror=alert(1)> & &amp;",
      "Ben: High water at nine",
    ]);
    assert.equal(await page.locator("li img, li b b").count(), 0);
  }
});

test("a page that was away says so, and what it wrote meanwhile comes once and in order", async () => {
  const ada = await visit("Ada", { viewport: { width: 360, height: 740 } });
  const ben = await visit("Ben");
  await ada.context().setOffline(true);
  await write(ada, "First while away");
  await write(ada, "Second while away");
  await status(ada, /^Offline: /).waitFor();
  assert.equal(await waiting(ada).count(), 2);
  await ada.getByText(/^Next try in \d+ s\.$/).waitFor();
  const hiddenPx = await ada.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return scrollWidth - clientWidth;
  });
  assert.equal(hiddenPx, 0);
  await write(ben, "Meanwhile");
  await heard(ben, "Meanwhile");

  await ada.context().setOffline(false);
  for (const page of [ada, ben]) {
    await heard(page, "Second while away");
    await waiting(page).first().waitFor({ state: "detached" });
    const expected = ["Ben: Meanwhile", "Ada: First while away", "Ada: Second while away"];
    assert.deepEqual((await said(page)).slice(-3), expected);
    assert.equal(await gaps(page).count(), 0);
  }
  await status(ada, "Connected").waitFor();
  forgiveSockets();
});

test("a hub that is started anew is told in the list, and the chat goes on", async () => {
  const [ada, ben] = [await visit("Ada"), await visit("Ben")];
  await write(ada, "Before the restart");
  await heard(ben, "Before the restart");
  await hub.stop("SIGKILL");
  await status(ada, /^Offline: /).waitFor();
  await write(ada, "Without a hub");
  await waiting(ada).waitFor();
  const question = ada.waitForEvent("dialog");
  await ada.close({ runBeforeUnload: true });
  await (await question).dismiss();

  await hub.restart();
  for (const page of [ada, ben]) {
    await comeBack(page);
    await heard(page, "Without a hub");
    await gaps(page).getByText("The hub was started anew").waitFor();
  }
  await write(ben, "After the restart");
  for (const page of [ada, ben]) {
    await heard(page, "After the restart");
    const expected = ["Before the restart", "gap", "Without a hub", "After the restart"];
    const tail = (await said(page)).slice(-4);
    assert.deepEqual(
      tail.map((text) => text.replace(/^\w+: /, "")),
      expected,
    );
  }
  forgiveSockets();
});

test("a room that was left is gone on with, and what is gone is told once", async () => {
  const [ada, ben] = [await visit("Ada"), await visit("Ben")];
  await write(ada, "Before I go");
  await heard(ada, "Before I go");
  await hub.stop("SIGKILL");
  await write(ada, "Behind my back");
  await enter(ada, "notices");
  for (const signal of ["SIGTERM", "SIGKILL"]) {
    await hub.restart();
    for (const page of [ada, ben]) await comeBack(page);
    await heard(ben, "Behind my back");
    await hub.stop(signal);
  }
  await hub.restart();
  for (const page of [ada, ben]) await comeBack(page);

  await enter(ada, "lobby");
  await ada.getByText("Not sent: the hub may have lost it").waitFor();
  await enter(ada, "notices");
  await enter(ada, "lobby");
  await ada.getByRole("button", { name: "Try again" }).click();
  await heard(ada, "Behind my back");
  await write(ada, "There you are");
  await heard(ada, "There you are");
  const expected = ["Ada: Before I go", "gap", "Ada: Behind my back", "Ada: There you are"];
  assert.deepEqual((await said(ada)).slice(-4), expected);
  await heard(ben, "There you are");
  assert.equal((await said(ben)).filter((text) => text === "Ada: Behind my back").length, 1);
  forgiveSockets();
});

test("where the client cannot work the page says why, in every room and as often as one asks", async () => {
  const ada = await browser.open(url(site), {}, () => {
    delete globalThis.WebAssembly;
  });
  const why = "@tidewire/client/js needs no WebAssembly";
  await status(ada, `Ended: ${why}`).waitFor();
  for (const room of ["lobby", "notices"]) {
    await enter(ada, room);
    await ada.getByText(`You cannot be in “${room}”`).waitFor();
    await ada.getByRole("alert").getByText(why).waitFor();
    await ada.getByRole("button", { name: "Try again" }).click();
    await ada.getByRole("alert").getByText(why).waitFor();
  }
});

test("what the hub refuses is told in its words, and can be tried again", async () => {
  const ada = await visit("Ada");
  await enter(ada, "staff");
  const refusal = ada.getByRole("alert");
  await refusal.getByText("neither a rule nor a token allows this", { exact: true }).waitFor();
  await ada.getByRole("button", { name: "Try again" }).click();
  await refusal.getByText("neither a rule nor a token allows this", { exact: true }).waitFor();

  await enter(ada, "notices");
  await write(ada, "May I?");
  await refusal
    .getByText("Not sent: neither a rule nor a token allows this", { exact: true })
    .waitFor();
  await ada.getByRole("button", { name: "Try again" }).click();
  await refusal
    .getByText("Not sent: neither a rule nor a token allows this", { exact: true })
    .waitFor();
  await ada.getByRole("button", { name: "Discard" }).click();
  await ada.getByText("Nothing was said here yet.").waitFor();
  await status(ada, "Connected").waitFor();
});

test("what is no line is passed over, what came twice is shown once, and a long stay grows nothing", async () => {
  const ada = await visit("Ada");
  const line = (n) => ({ id: `line ${n}`, author: "Stranger", text: `Line ${n}` });
  const strange = [null, 7, "text", new Uint8Array([0xff]), {}, { ...line(0), author: 7 }];
  const texts = Array.from({ length: 600 }, (_, n) => line(n));
  const stranger = createClient(hub.url, { WebSocket: SocketOfThePage });
  const lobby = stranger.topic("chat.lobby");
  await Promise.all([...strange, line(0), ...texts].map((value) => lobby.publish(value)));
  stranger.close();
  await heard(ada, "Line 599");
  assert.deepEqual(
    await said(ada),
    texts.slice(-LINES_SHOWN).map(({ text }) => `Stranger: ${text}`),
  );

  for (let times = 0; times < 10; times++) {
    for (const room of ["notices", "lobby"]) {
      await enter(ada, room);
      // What is written before that goes to the room before.
      await ada.getByRole("log", { name: room }).waitFor();
    }
  }
  await write(ada, "Still here");
  await heard(ada, "Still here");
  await onlySubscription();
});

test("who scrolls up reads back to where nothing older is kept", async () => {
  const texts = Array.from({ length: 1_100 }, (_, n) => `Old ${n}`);
  const stranger = createClient(hub.url, { WebSocket: SocketOfThePage });
  const lobby = stranger.topic("chat.lobby");
  const lines = texts.map((text, n) => ({ id: `old ${n}`, author: "Stranger", text }));
  await Promise.all(lines.map((line) => lobby.publish(line)));
  const ada = await visit("Ada");
  await heard(ada, "Old 1099");
  const shown = (count) => texts.slice(-count).map((text) => `Stranger: ${text}`);
  assert.deepEqual(await said(ada), shown(50));
  const older = ada.getByRole("button", { name: "Older lines" });
  await older.focus();
  await ada.keyboard.press("Enter");
  await heard(ada, "Old 1000");
  assert.deepEqual(await said(ada), shown(100));
  for (let count = 150; count <= LINES_KEPT; count += 50) {
    await ada.getByRole("log").evaluate((log) => log.scrollTo(0, -log.scrollHeight));
    await heard(ada, `Old ${texts.length - count}`);
  }
  await older.waitFor({ state: "detached" });
  await gaps(ada).getByText("the hub has not kept them").waitFor();
  await lobby.publish({ id: "new", author: "Stranger", text: "New" });
  stranger.close();
  await heard(ada, "New");
  assert.deepEqual(await said(ada), ["gap", ...shown(LINES_KEPT), "Stranger: New"]);
});

test("where the client cannot work the page says why, whatever room is entered", async () => {
  const policy = { "content-security-policy": "script-src 'self'" };
  const strict = await serve("dist", { headers: policy });
  const page = await browser.open(url(strict));
  for (const room of ["lobby", "notices"]) {
    await enter(page, room);
    await page.getByRole("heading", { name: `You cannot be in “${room}”` }).waitFor();
    await status(page, /^Ended: .*Content Security Policy/).waitFor();
  }
  await page.close();
  await strict.close();
});

/** A visitor in the lobby, who has come in. */
async function visit(name, options) {
  const page = await browser.open(url(site), options);
  await page.getByRole("log", { name: "lobby" }).and(page.locator("[aria-busy=false]")).waitFor();
  await page.getByLabel("Name").fill(name);
  return page;
}

/** Does not wait for the next try; perhaps it is over in the meantime. */
async function comeBack(page) {
  await page.getByRole("button", { name: "Try now" }).or(status(page, "Connected")).click();
  await status(page, "Connected").waitFor();
}

async function write(page, text) {
  await page.getByLabel("Message").fill(text);
  await page.keyboard.press("Enter");
}

async function enter(page, room) {
  await page.getByRole("link", { name: room }).focus();
  await page.keyboard.press("Enter");
}

/** Waits until a line has come from the hub. */
async function heard(page, text) {
  await page
    .locator("li:has(time)")
    .filter({ has: page.getByText(text, { exact: true }) })
    .waitFor();
}

/** What stands in the list, lines as `AUTHOR: TEXT`. */
function said(page) {
  return page.locator("li").evaluateAll((items) =>
    items.map((item) => {
      const [author, text] = ["b", "p"].map((name) => item.querySelector(name)?.textContent);
      return text === undefined ? item.className : `${author}: ${text}`;
    }),
  );
}

/** Waits until the hub has no subscription but the one of the room that a page is in. */
async function onlySubscription() {
  const signal = AbortSignal.timeout(10_000);
  for (;;) {
    const metrics = await (await fetch(`${hub.url}/metrics`, { signal })).text();
    if (/^tidewire_subscriptions 1$/m.test(metrics)) return;
    await setTimeout(50, undefined, { signal });
  }
}

function status(page, text) {
  return page.getByRole("status").getByText(text);
}

function waiting(page) {
  return page.getByText("waiting to be sent");
}

function gaps(page) {
  return page.locator("li.gap");
}

/** The chat as `vite preview` serves it. */
function serve(outDir, options) {
  const address = { host: "127.0.0.1", port: 0 };
  return preview({
    root: CHAT,
    logLevel: "silent",
    build: { outDir },
    preview: { ...address, ...options },
  });
}

function url(site) {
  return site.resolvedUrls.local[0];
}

/** A program's socket says of itself what the page's does. */
class SocketOfThePage extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { origin: new URL(url(site)).origin });
  }
}

/** The browser itself tells of sockets that found no hub. */
function forgiveSockets() {
  browser.errors = browser.errors.filter((text) => !text.includes("WebSocket connection to"));
}

/** As many as the hub keeps of a room. */
const LINES_KEPT = 1_000;
/** As many lines as the page keeps. */
const LINES_SHOWN = 500;
