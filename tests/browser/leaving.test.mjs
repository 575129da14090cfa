// A page is left: its last words arrive.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createClient } from "@tidewire/client";
import { WebSocket } from "ws";
import { Browser } from "./support/browser.mjs";
import { Hub } from "./support/hub.mjs";
import { Site } from "./support/site.mjs";

let hub;
let site;
let browser;
let watcher;

before(async () => {
  hub = await Hub.start();
  site = await Site.start({
    "/client.js": fileURLToPath(import.meta.resolve("@tidewire/client")),
  });
  browser = await Browser.start();
  watcher = createClient(hub.url, { WebSocket });
});

after(async () => {
  watcher?.close();
  await browser?.close();
  await site?.stop();
  await hub?.stop("SIGKILL");
});

test("what a page publishes as it goes arrives, whoever listened first", async () => {
  const messages = watcher.topic("page").messages();
  await messages.ready;
  const said = async () => (await messages.next()).value.data;
  const page = await browser.open(site.url);
  await page.evaluate(async (url) => {
    const { createClient } = await import("/client.js");
    const tide = createClient(url);
    const say = (text) => void tide.topic("page").publish(text);
    await tide.topic("page").publish("here");
    addEventListener("pagehide", () => say("pagehide"));
    document.addEventListener("visibilitychange", () => say(document.visibilityState));
  }, hub.url);
  assert.equal(await said(), "here");
  await page.goto("about:blank");
  assert.equal(await said(), "pagehide");
  assert.equal(await said(), "hidden");
  assert.deepEqual(browser.errors.splice(0), []);
});
