// The page of the HTTP API shows all that is described, and loads nothing from elsewhere.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { Browser } from "./support/browser.mjs";
import { Hub } from "./support/hub.mjs";

let hub;
let browser;

before(async () => {
  hub = await Hub.start();
  browser = await Browser.start();
});

after(async () => {
  await browser?.close();
  await hub?.stop("SIGKILL");
});

afterEach(async () => {
  await browser.closePages();
  // What a policy forbids is an error of the page's console.
  assert.deepEqual(browser.errors.splice(0), []);
});

test("every call is shown, from what the hub itself serves", async () => {
  const page = await browser.open("about:blank");
  const asked = new Set();
  page.on("request", (request) => asked.add(request.url()));
  await page.goto(`${hub.url}/v1/docs`);
  const api = await (await fetch(`${hub.url}/v1/openapi.json`)).json();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const { summary } of Object.values(methods)) {
      await page.getByText(summary.replace(/\.$/, "")).first().waitFor();
    }
    await page.getByText(path, { exact: true }).first().waitFor();
  }
  const served = ["docs", "docs/rapidoc-min.js", "openapi.json"].map((it) => `${hub.url}/v1/${it}`);
  const elsewhere = [...asked].filter((url) => !served.includes(url) && !/^(data|blob):/.test(url));
  assert.deepEqual(elsewhere, []);
});
