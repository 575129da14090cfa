// The demo as visitors see it: charts with their past, a board that is shared, a link that is cut and resumes.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { Browser } from "./support/browser.mjs";
import { Hub } from "./support/hub.mjs";

let hub;
let browser;

before(async () => {
  hub = await Hub.start("--demo");
  browser = await Browser.start();
});

after(async () => {
  await browser?.close();
  await hub?.stop("SIGKILL");
});

afterEach(async () => {
  await browser.closePages();
  assert.deepEqual(browser.errors.splice(0), []);
});

test("the charts move", async () => {
  const page = await visit();
  await page.waitForFunction(() =>
    Array.from(document.querySelectorAll(".reading .value")).every(
      (value) => value.textContent !== "–",
    ),
  );
  const seen = await pictures(page);
  assert.equal(seen.length, 4);
  // Without samples a chart is an empty grid, which never changes.
  await page.waitForFunction(
    (before) =>
      Array.from(document.querySelectorAll("#charts canvas")).every(
        (canvas, index) => canvas.toDataURL() !== before[index],
      ),
    seen,
  );
});

test("a late page shows the past at once", async () => {
  const early = await visit();
  await samples(early, PAST_SAMPLES);
  const late = await visit();
  await late.waitForFunction(() => / samples from before/.test(page.text("host-past")));
  const told = await late.evaluate(() => page.text("host-past"));
  const [, past, amount, unit] = /^(\d+) samples .* ([\d.]+) (ms|s) after/.exec(told) ?? [];
  const seconds = unit === "ms" ? amount / 1_000 : Number(amount);
  assert.ok(Number(past) >= PAST_SAMPLES, told);
  // One is published each second: whoever has to wait for them takes longer.
  assert.ok(seconds < Number(past), told);
});

test("two pages share the board", async () => {
  const [one, other] = [await visit(), await visit()];
  await write(one, "High water at nine");
  await note(other, "High water at nine").waitFor();

  const text = "High water at nine";
  const before = await placeOf(one, text);
  await note(other, text).locator(".grip").focus();
  await other.keyboard.press("ArrowRight");
  await movesBeyond(one, text, { x: before.x, y: before.y - 1 });

  const keyed = await placeOf(one, text);
  const grip = await note(one, text).locator(".grip").boundingBox();
  await one.mouse.move(grip.x + 20, grip.y + 10);
  await one.mouse.down();
  await one.mouse.move(grip.x + 60, grip.y + 120, { steps: 4 });
  // The others see where it is before it is put down, and whose pointer holds it.
  await movesBeyond(other, text, keyed);
  await other.locator(".cursor .name").waitFor();
  await one.mouse.up();

  await note(other, text).getByLabel("Remove").click();
  await note(one, text).waitFor({ state: "detached" });
  assert.match(await one.locator("#visitors").textContent(), /^you and 1 other$/);
});

test("a cut link buffers, then resumes without a gap", async () => {
  const [away, there] = [await visit(), await visit()];
  await samples(away, 1);
  await away.getByRole("switch").click();
  await away.waitForFunction(() => page.text("state") === "cut by you");

  await write(away, "Written while away");
  await away.waitForFunction(() => Number(page.text("buffered")) >= 2);
  assert.equal(await away.locator(".card[data-pending]").count(), 1);
  await write(there, "Meanwhile");
  await there.waitForFunction(() => document.querySelector(".card[data-pending]") === null);
  await samples(there, 3);
  assert.equal(await note(there, "Written while away").count(), 0);
  assert.equal(await note(away, "Meanwhile").count(), 0);

  await away.getByRole("switch").click();
  await note(away, "Meanwhile").waitFor();
  await note(there, "Written while away").waitFor();
  await away.waitForFunction(() => page.text("feed").includes("Back after"));
  assert.equal(await away.locator(".card[data-pending]").count(), 0);
  // A note and its text are two changes.
  assert.match(await away.locator("#resumed").textContent(), /^([2-9]|\d\d+) samples, 2 changes$/);
  assert.equal(await away.locator("#gap").textContent(), "none, checked by number");
  assert.equal(await away.locator("#buffered").textContent(), "0, 2 delivered");
});

test("a phone's width needs no sideways scrolling, in both themes", async () => {
  const page = await visit({ viewport: { width: 360, height: 780 }, colorScheme: "dark" });
  await samples(page, 1);
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  for (const _ of ["dark", "light"]) {
    const [wide, seen] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    assert.ok(wide <= seen, `${wide} > ${seen}`);
    await page.locator("#theme").click();
  }
  await page.locator("#theme").click();
  assert.notEqual(await ground(), dark);
});

test("a hub that crashed is told as a gap, and what waited arrives", async () => {
  const page = await visit();
  await samples(page, 1);
  await hub.stop("SIGKILL");
  await page.waitForFunction(() => page.text("state") === "looking for the hub");
  await write(page, "Written without a hub");
  await hub.restart();
  await page.waitForFunction(() => page.text("gap") === "told: epoch changed");
  await page.waitForFunction(() => document.querySelector(".card[data-pending]") === null);
  const late = await visit();
  await note(late, "Written without a hub").waitFor();
  // The browser itself tells of sockets that found no hub.
  browser.errors = browser.errors.filter((text) => !text.includes("ERR_CONNECTION_REFUSED"));
});

/** A visitor, with the words that the tests ask a page with. */
function visit(options) {
  return browser.open(hub.url, options, () => {
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

async function placeOf(page, text) {
  const { x, y } = await note(page, text).boundingBox();
  return { x, y };
}

/** Waits until the note has moved this way on the page. */
async function movesBeyond(page, text, { x, y }) {
  const element = await note(page, text).elementHandle();
  await page.waitForFunction(
    ([element, x, y]) => {
      const box = element.getBoundingClientRect();
      return box.x > x && box.y > y;
    },
    [element, x, y],
  );
}

function pictures(page) {
  return page.evaluate(() =>
    Array.from(document.querySelectorAll("#charts canvas"), (canvas) => canvas.toDataURL()),
  );
}

const PAST_SAMPLES = 4;
