// Pages whose policies forbid what the client would do.

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

/** What the client says, one status after another, on a page with a policy of its own, until `upto` comes. */
async function statusesUnder(policy, url, upto, header = "content-security-policy") {
  const modules = { "/js.js": fileOf("@tidewire/client/js") };
  const other = await Site.start(modules, undefined, { [header]: policy });
  const foreign = await browser.open(other.url);
  try {
    return await foreign.evaluate(
      async ([url, upto]) => {
        const { createClient } = await import("/js.js");
        const tide = createClient(url);
        const told = [];
        await new Promise((done) => {
          tide.on("status", ({ state, reason, detail }) => {
            told.push({ state, reason, detail });
            if (state === upto) done(tide.close());
          });
          tide.connect();
        });
        // The last one tells of the end.
        return told.slice(0, -1);
      },
      [url, upto],
    );
  } finally {
    await foreign.close();
    await other.stop();
    browser.errors.splice(0);
  }
}

test("a policy against the hub's address is told at once, as what it is", async () => {
  const told = await statusesUnder("connect-src 'self'", hub.url, "offline");
  assert.deepEqual(
    told.map(({ state, reason }) => [state, reason]),
    [
      ["connecting", undefined],
      ["offline", "link_blocked"],
    ],
  );
  assert.match(told[1].detail, /Content-Security-Policy: connect-src/);
});

test("a policy that lets the address pass is not blamed where nobody answers", async () => {
  const nobody = "ws://127.0.0.1:9";
  const policies = {
    [`connect-src ${nobody}`]: "content-security-policy",
    "connect-src 'self'": "content-security-policy-report-only",
  };
  for (const [policy, header] of Object.entries(policies)) {
    const told = await statusesUnder(policy, nobody, "offline", header);
    assert.equal(told[1].reason, "not_reached");
  }
});

test("a policy that lets the address pass lets the client work", async () => {
  const policy = `connect-src ${hub.url.replace("http", "ws")}`;
  const told = await statusesUnder(policy, hub.url, "online");
  assert.equal(told.at(-1).reason, undefined);
});
