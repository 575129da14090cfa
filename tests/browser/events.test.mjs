// A page with nothing but the browser's own `EventSource`, and programs with nothing but HTTP, over cuts and over a restart
// of the hub.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
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

/** Publishes by HTTP over the link, as a program does that goes on trying with one key; gives the answer. */
async function post(topic, value) {
  const request = {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": randomUUID() },
    body: JSON.stringify(value),
  };
  for (;;) {
    const path = `/v1/topics/${topic}/messages`;
    const answer = await fetch(link.url + path, request).catch(() => undefined);
    if (answer?.ok) return answer.json();
    // A hub that stops says so.
    if (answer) assert.equal(answer.status, 503, await answer.text());
    await setTimeout(20);
  }
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

test("what is published by HTTP comes once, over a cut that swallowed an answer, and over a restart", async () => {
  const page = await listen("/v1/events?topic=d");
  await came(page, 1, "subscribed");
  assert.equal((await post("d", 1)).duplicate, false);
  await came(page, 1, "message");
  link.swallowAnswers();
  const unanswered = post("d", 2);
  for await (const { data } of writer.topic("d").messages({ from: "earliest" })) {
    if (data === 2) break;
  }
  link.cut();
  const refused = post("d", 3);
  link.restore();
  assert.equal((await unanswered).duplicate, true);
  await refused;
  assert.deepEqual(data(await came(page, 3, "message")), [1, 2, 3]);
  assert.deepEqual(await came(page, 0, "gap", "closed"), []);

  await hub.stop();
  const meanwhile = post("d", 4);
  await hub.restart();
  await meanwhile;
  await post("d", 5);
  assert.deepEqual(data(await came(page, 5, "message")), [1, 2, 3, 4, 5]);
  const [[, { reason }]] = await came(page, 1, "gap");
  assert.equal(reason, "epoch_changed");
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
