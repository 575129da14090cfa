// A page whose policy forbids WebAssembly.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Browser } from "./support/browser.mjs";
import { Hub } from "./support/hub.mjs";
import { Site } from "./support/site.mjs";

const fileOf = (specifier) => fileURLToPath(import.meta.resolve(specifier));

let hub;
let site;
let browser;
let page;

before(async () => {
  hub = await Hub.start();
  const modules = {
    "/index.js": fileOf("@tidewire/client"),
    "/js.js": fileOf("@tidewire/client/js"),
    "/page.js": fileOf("./policy/page.js"),
    "/round-trip.js": fileOf("./policy/round-trip.js"),
  };
  site = await Site.start(modules, fileOf("./policy/page.html"));
  browser = await Browser.start();
  page = await browser.open(site.url);
  await page.waitForFunction(() => globalThis.withWasm);
});

after(async () => {
  await browser?.close();
  await site?.stop();
  await hub?.stop("SIGKILL");
});

test("the entry without WebAssembly works there", async () => {
  const result = await page.evaluate((url) => globalThis.withoutWasm(url), hub.url);
  const data = [{ n: 1 }, "grüße", [0, 255]];
  assert.deepEqual(result, { outcome: "live", data, state: "closed" });
  assert.deepEqual(browser.errors.splice(0), []);
});

test("the default entry says which one does", async () => {
  const { code, message, status } = await page.evaluate((url) => globalThis.withWasm(url), hub.url);
  assert.deepEqual([code, status.state, status.reason], ["wasm_blocked", "closed", "wasm_blocked"]);
  assert.match(message, /@tidewire\/client\/js needs no WebAssembly/);
  assert.match(status.detail, /@tidewire\/client\/js needs no WebAssembly/);
  // The browser has its own word about it.
  assert.match(browser.errors.splice(0).join("\n"), /^(|.*Content Security Policy.*)$/);
});
