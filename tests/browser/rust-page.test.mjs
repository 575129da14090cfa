// The client for Rust front ends, in a page written in Rust: typed messages both ways, a handler that publishes,
// values of JavaScript in and out, and a link that is cut.

import assert from "node:assert/strict";
import { resolve } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { Browser } from "./support/browser.mjs";
import { Hub } from "./support/hub.mjs";
import { CuttableLink } from "./support/link.mjs";
import { Site } from "./support/site.mjs";

const PAGE = resolve(import.meta.dirname, "../../target/rust-page");

let hub;
let link;
let site;
let browser;

before(async () => {
  const modules = ["tidewire_rust_page.js", "tidewire_rust_page_bg.wasm"];
  const paths = modules.map((name) => [`/${name}`, resolve(PAGE, name)]);
  site = await Site.start(Object.fromEntries(paths), resolve(PAGE, "index.html"));
  browser = await Browser.start();
});

after(async () => {
  await browser?.close();
  await site?.stop();
});

beforeEach(async () => {
  hub = await Hub.start();
  link = await CuttableLink.start(hub.port);
});

afterEach(async () => {
  await browser.closePages();
  await link?.stop();
  await hub?.stop("SIGKILL");
  assert.deepEqual(browser.errors.splice(0), []);
});

test("two pages exchange notes, and each tells the other by a publish from inside its handler", async () => {
  const [ada, ben] = [await visit("Ada"), await visit("Ben")];
  await write(ada, "High water at nine");
  await note(ben, "Ada", "High water at nine", 1).waitFor();
  await note(ada, "Ada", "High water at nine", 1).waitFor();
  await ada.waitForFunction(() => /^stored at \d+$/.test(page.text("outcome")));

  await write(ben, "Low water at three");
  await note(ada, "Ben", "Low water at three", 1).waitFor();
  await note(ben, "Ben", "Low water at three", 1).waitFor();

  const late = await visit("Cleo");
  await note(late, "Ada", "High water at nine", 2).waitFor();
  await note(ada, "Ada", "High water at nine", 2).waitFor();
  await nothingWrong(ada, ben, late);
});

test("JavaScript's own values go in and come out", async () => {
  const [ada, ben] = [await visit("Ada"), await visit("Ben")];
  const sent = { author: "Ada", text: "From a script", tags: ["a", null, 1.5], nested: { n: 1 } };
  const offset = await ada.evaluate((sent) => publish(sent), sent);
  assert.ok(offset > 0, `${offset}`);
  await note(ben, "Ada", "From a script", 1).waitFor();
  const heard = await ben.evaluate(() => page.notes);
  assert.deepEqual(heard.at(-1), sent);
  await nothingWrong(ada, ben);
});

test("what is no note is told, and the next one comes", async () => {
  const [ada, ben] = [await visit("Ada"), await visit("Ben")];
  await ada.evaluate(() => publish({ text: 1 }));
  await ben.waitForFunction(() => page.text("problem").startsWith("no note: "));
  await write(ada, "A note again");
  await note(ben, "Ada", "A note again", 1).waitFor();
});

test("what JSON cannot hold is refused", async () => {
  const page = await visit("Ada");
  const refused = await page.evaluate(() => publish({ text: 1n << 70n }).catch(String));
  assert.match(refused, /cannot be written as JSON/);
});

test("a page whose link was cut resumes, and what it wrote meanwhile arrives", async () => {
  const [away, there] = [await visit("Ada", link.url), await visit("Ben")];
  link.cut();
  await away.waitForFunction(() => page.text("status") !== "online");
  await write(away, "Written while away");
  await write(there, "Written meanwhile");
  await there.waitForFunction(() => page.text("outcome").startsWith("stored"));
  assert.equal(await away.textContent("#outcome"), "waiting");
  assert.equal(await note(there, "Ada", "Written while away").count(), 0);
  assert.equal(await note(away, "Ben", "Written meanwhile").count(), 0);

  link.restore();
  await note(there, "Ada", "Written while away", 1).waitFor();
  await note(away, "Ben", "Written meanwhile", 1).waitFor();
  await note(away, "Ada", "Written while away", 1).waitFor();
  for (const page of [away, there]) {
    for (const text of ["Written while away", "Written meanwhile"]) {
      assert.equal(await page.locator("#notes li", { hasText: text }).count(), 1, text);
    }
  }
  await nothingWrong(away, there);
  // The browser itself tells of sockets that found no hub.
  browser.errors = browser.errors.filter((text) => !text.includes("WebSocket connection to"));
});

/** A visitor, who has heard of all that was written before. */
async function visit(author, url = hub.url) {
  const query = new URLSearchParams({ hub: url, author });
  const page = await browser.open(`${site.url}/?${query}`, {}, () => {
    globalThis.page = { notes: [], text: (id) => document.getElementById(id).textContent };
    document.addEventListener("note", ({ detail }) => globalThis.page.notes.push(detail));
  });
  await page.waitForFunction(
    () => page.text("status") === "online" && page.text("ready") === "yes",
  );
  return page;
}

async function write(page, text) {
  await page.locator("#text").fill(text);
  await page.keyboard.press("Enter");
}

/** A note as it is listed once so many have read it. */
function note(page, author, text, readers) {
  const tail = readers ? `read by ${readers}` : "";
  return page.locator("#notes li", { hasText: `${author}${text}${tail}` });
}

async function nothingWrong(...pages) {
  for (const page of pages) assert.equal(await page.textContent("#problem"), "");
}
