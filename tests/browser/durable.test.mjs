// Pages over a hub that is killed and started again with the same data directory: they go on as over a cut link.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createClient } from "@tidewire/client";
import { WebSocket } from "ws";
import { Browser } from "./support/browser.mjs";
import { Hub } from "./support/hub.mjs";
import { Site } from "./support/site.mjs";

let folder;
let hub;
let site;
let browser;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "tidewire-durable-"));
  hub = await Hub.start("--demo", "--data-dir", join(folder, "data"));
  site = await Site.start({});
  browser = await Browser.start();
});

after(async () => {
  await browser?.close();
  await site?.stop();
  await hub?.stop("SIGKILL");
  rmSync(folder, { recursive: true });
});

test("the demo's board and charts survive, and an open page goes on without a gap", async () => {
  const page = await visit();
  await write(page, "Before the crash");
  await page.waitForFunction(() => document.querySelector(".card[data-pending]") === null);
  await samples(page, 2);
  await hub.stop("SIGKILL");
  await page.waitForFunction(() => page.text("state") === "looking for the hub");
  await write(page, "While there was no hub");
  await hub.restart();
  await page.waitForFunction(() => document.querySelector(".card[data-pending]") === null);
  await samples(page, 1);
  assert.equal(await page.locator("#gap").textContent(), "none, checked by number");
  // A note and its text are two changes, or one where both were there when it was first sent.
  assert.match(await page.locator("#buffered").textContent(), /^0, [12] delivered$/);

  const late = await visit();
  await note(late, "Before the crash").waitFor();
  await note(late, "While there was no hub").waitFor();
  await late.waitForFunction(() => / samples from before/.test(page.text("host-past")));
  assert.equal(await late.locator(".card").count(), 2);
  await browser.closePages();
});

test("a client and an EventSource hear each message once", async () => {
  const client = createClient(hub.url, { WebSocket });
  const heard = [];
  const gaps = [];
  let hearLast;
  const last = new Promise((done) => {
    hearLast = done;
  });
  const subscription = client.topic("t").subscribe(({ data }) => {
    heard.push(data);
    if (data === "last") hearLast();
  });
  subscription.on("gap", (gap) => gaps.push(gap));
  const page = await browser.open(site.url);
  await page.evaluate(async (url) => {
    globalThis.came = [];
    const source = new EventSource(url);
    const note = (event) => globalThis.came.push([event.type, JSON.parse(event.data).data]);
    for (const type of ["message", "gap", "closed"]) source.addEventListener(type, note);
    await new Promise((begun) => source.addEventListener("subscribed", begun, { once: true }));
  }, `${hub.url}/v1/events?topic=t`);

  const published = [];
  for (let number = 0; number < 30; number++) {
    published.push(client.topic("t").publish(number));
    if (number % 10 === 4) {
      // Some are acknowledged, and the rest is on its way.
      await published[number - 2];
      await hub.stop("SIGKILL");
      await hub.restart();
    }
  }
  for (const { durability } of await Promise.all(published)) assert.equal(durability, "synced");

  const expected = Array.from({ length: 30 }, (_, number) => number);
  await page.waitForFunction(() => globalThis.came.length >= 30);
  const came = await page.evaluate(() => globalThis.came);
  assert.deepEqual(
    came,
    expected.map((number) => ["message", number]),
  );
  await client.topic("t").publish("last");
  await last;
  assert.deepEqual(heard, [...expected, "last"]);
  assert.deepEqual(gaps, []);
  await client.close();
});

/** A visitor, with the words that the tests ask a page with. */
function visit() {
  return browser.open(hub.url, {}, () => {
    globalThis.page = { text: (id) => document.getElementById(id).textContent };
  });
}

async function write(page, text) {
  await page.locator("#add-note").click();
  await page.keyboard.type(text);
}

/** Waits until the page has received so many samples more. */
async function samples(page, count) {
  for (let i = 0; i < count; i++) {
    const position = await page.locator("#position").textContent();
    await page.waitForFunction((before) => page.text("position") !== before, position);
  }
}

/** The note that says this. */
function note(page, text) {
  return page.getByRole("article", { name: `Note: ${text}` });
}
