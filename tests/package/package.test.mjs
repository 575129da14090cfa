// The packed tarball, installed elsewhere, against a real hub.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Browser } from "../browser/support/browser.mjs";
import { Hub } from "../browser/support/hub.mjs";
import { checkTypes, install, remove, runNode, serve, viteBuild } from "./installed.mjs";

const expected = { outcome: "live", data: [{ n: 1 }, "grüße", [0, 255]], state: "closed" };

let hub;
let browser;
let folder;

before(async () => {
  folder = install();
  hub = await Hub.start();
  browser = await Browser.start();
});

after(async () => {
  await browser?.close();
  await hub?.stop("SIGKILL");
  if (folder) remove(folder);
});

test("Node", () => {
  assert.deepEqual(JSON.parse(runNode(folder, "node.js", hub.url)), expected);
});

test("Node, slim", () => {
  assert.deepEqual(JSON.parse(runNode(folder, "slim.js", hub.url)), expected);
});

test("Node, without WebAssembly", () => {
  const args = ["--disallow-code-generation-from-strings", "js.js", hub.url];
  assert.deepEqual(JSON.parse(runNode(folder, ...args)), expected);
});

test("Node, where the default entry finds no WebAssembly", () => {
  const { code, message } = JSON.parse(runNode(folder, "blocked.js", hub.url));
  assert.equal(code, "wasm_blocked");
  assert.match(message, /@tidewire\/client\/js needs no WebAssembly/);
});

test("Node, CommonJS", () => {
  assert.deepEqual(JSON.parse(runNode(folder, "commonjs.cjs", hub.url)), expected);
});

test("Node: names and texts are those of the sources", () => {
  assert.deepEqual(JSON.parse(runNode(folder, "surface.js", hub.url)), {
    sent: true,
    page: ["messages", "more", "next"],
    message: [
      "content",
      "data",
      "epoch",
      "maybeDuplicate",
      "offset",
      "publishedAt",
      "sender",
      "topic",
      "type",
    ],
    data: [{ n: 2 }],
    client: ["client", "status", "outbox", "sendsDropped"],
    topic: "{ topic: 'surface.a' }",
    subscription: "{ subscription: 'surface.a', state: 'live', lag: 0 }",
    dropped: 0,
    name: '"a b": bad_name: give words joined by dots, without spaces',
    option: "option form: give from or whenSlow or echo or signal",
    address: '"undefined": bad_address: give a hub\'s address, such as wss://hub.example.com',
    stored: "publish to surface.a: memory_only: this outbox is in memory; leave `until` out",
    closed: "history of surface.a: closed: create another client",
  });
});

test("types, for modules and for CommonJS", () => checkTypes(folder, "types.mts", "types.cts"));

test("a page without a bundler", () => checkPage(folder, "page.html"));

test("a worker", () => checkPage(folder, "worker.html"));

test("a Vite build", async () => {
  viteBuild(folder);
  await checkPage(join(folder, "dist"), "index.html");
});

/** Opens a page of a folder, which leaves its result in `result`. */
async function checkPage(site, name) {
  const server = await serve(site);
  const page = await browser.open(`${server.url}/${name}#${hub.url}`);
  await page.waitForFunction(() => globalThis.result);
  assert.deepEqual(await page.evaluate(() => globalThis.result), expected);
  assert.deepEqual(browser.errors.splice(0), []);
  await page.context().close();
  await server.close();
}
