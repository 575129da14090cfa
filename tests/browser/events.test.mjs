// A page with nothing but the browser's own `EventSource`, over cuts and over a restart of the hub.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createClient } from "@tidewire/client";
import { WebSocket } from "ws";
import { Browser } from "./support/browser.mjs";
import { Hub } from "./support/hub.mjs";
import { CuttableLink } from "./support/link.mjs";
import { Site } from "./support/site.mjs";

let hub;
let link;
let site;
let browser;
let writer;

before(async () => {
  hub = await Hub.start();
  link = await CuttableLink.start(hub.port);
  site = await Site.start({});
  browser = await Browser.start();
  writer = createClient(hub.url, { WebSocket });
});

after(async () => {
  await writer?.close();
  await browser?.close();
  await link?.stop();
  await site?.stop();
  await hub?.stop("SIGKILL");
});

/** Listens on a page of its own; what comes is pushed to `globalThis.came`. */
async function listen(path) {
  const page = await browser.open(site.url);
  await page.evaluate(async (url) => {
    globalThis.came = [];
    const source = new EventSource(url);
    const note = (event) => globalThis.came.push([event.type, JSON.parse(event.data)]);
    for (const type of ["subscribed", "message", "gap", "unsubscribed", "closed"]) {
      source.addEventListener(type, note);
    }
    await new Promise((opened) => source.addEventListener("open", opened, { once: true }));
  }, link.url + path);
  return page;
}

/** What has come of these types, when there is so much of it. */
async function came(page, count, ...types) {
  await page.waitForFunction(
    ([count, types]) => globalThis.came.filter(([type]) => types.includes(type)).length >= count,
    [count, types],
  );
  const all = await page.evaluate(() => globalThis.came);
  return all.filter(([type]) => types.includes(type));
}

const data = (events) => events.map(([, { data, text }]) => data ?? text);

test("each message comes once, whatever was published while the link was cut", async () => {
  const page = await listen("/v1/events?topic=a");
  await came(page, 1, "subscribed");
  const publish = (data) => writer.topic("a").publish(data);
  await publish({ n: 1 });
  await publish("grüße\r\n\r\ndata: x");
  assert.deepEqual(data(await came(page, 2, "message")), [{ n: 1 }, "grüße\r\n\r\ndata: x"]);
  link.cut();
  await publish(3);
  await publish(4);
  link.restore();
  await came(page, 4, "message");
  await publish(5);
  assert.deepEqual(data(await came(page, 5, "message")).slice(2), [3, 4, 5]);
  assert.deepEqual(await came(page, 0, "gap", "closed"), []);
  const begun = await came(page, 2, "subscribed");
  assert.deepEqual(
    begun.map(([, { outcome }]) => outcome),
    ["live", "resumed"],
  );
  await page.close();
});

test("a hub that stops says so, and the one that comes after it says what is gone", async () => {
  const page = await listen("/v1/events?topic=b&topic=c.*");
  await came(page, 2, "subscribed");
  await writer.topic("c.x").publish("before");
  await came(page, 1, "message");
  await hub.stop();
  const [[, { code }]] = await came(page, 1, "closed");
  assert.equal(code, "draining");
  await hub.restart();
  const gaps = await came(page, 2, "gap");
  assert.deepEqual(
    gaps.map(([, { topic, reason }]) => [topic, reason]),
    [
      ["b", "epoch_changed"],
      ["c.*", "epoch_changed"],
    ],
  );
  await writer.topic("c.x").publish("after");
  assert.deepEqual(data(await came(page, 2, "message")), ["before", "after"]);
  await page.close();
});

test("the page of the recipes shows a price, and the next one", async () => {
  const recipes = readFileSync(new URL("../../docs/RECIPES.md", import.meta.url), "utf8");
  const [, html] = /```html\n(.*?)```/s.exec(recipes);
  const folder = mkdtempSync(join(tmpdir(), "tidewire-recipe-"));
  const file = join(folder, "page.html");
  writeFileSync(file, html);
  const served = await Site.start({}, file);
  await writer.topic("prices.gold").publish(1234);
  const page = await browser.open(`${served.url}/?hub=${encodeURIComponent(link.url)}`);
  await page.getByText("1234").waitFor();
  await writer.topic("prices.gold").publish(1235);
  await page.getByText("1235").waitFor();
  await page.close();
  await served.stop();
  rmSync(folder, { recursive: true });
});
