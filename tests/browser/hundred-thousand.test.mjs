// 100,000 numbers from one page to another, while links are cut and the hub is stopped: what one hub keeps is
// exact, and what a restart of a hub in memory costs is told to both sides.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { check } from "./numbers/check.mjs";
import { Browser } from "./support/browser.mjs";
import { Hub } from "./support/hub.mjs";
import { CuttableLink } from "./support/link.mjs";
import { Site } from "./support/site.mjs";

const COUNT = 100_000;
const CUTS = 20;
const RESTARTS = 5;

let hub;
let site;
let browser;
let publisher;
let subscriber;

before(async () => {
  // A silent link is to be noticed soon, and a hub that stops is not to be waited for.
  process.env.TIDEWIRE_LIMITS_HEARTBEAT_MS = "600";
  process.env.TIDEWIRE_DRAIN_SECONDS = "1";
  hub = await Hub.start();
  site = await Site.start({
    "/client.js": fileURLToPath(import.meta.resolve("@tidewire/client")),
    "/page.js": fileURLToPath(new URL("numbers/page.js", import.meta.url)),
  });
  browser = await Browser.start();
  publisher = await open("Publisher");
  subscriber = await open("Subscriber");
});

after(async () => {
  await browser?.close();
  await publisher?.link.stop();
  await subscriber?.link.stop();
  await site?.stop();
  await hub?.stop("SIGKILL");
});

test("the check finds what it is for", () => {
  const outcomes = [1, 2, 3, 4].map((offset) => ({ epoch: "a", offset, maybeDuplicate: false }));
  outcomes.unshift(undefined);
  const [one, two, three, four] = outcomes
    .slice(1)
    .map((outcome, at) => ({ n: at + 1, ...outcome }));
  const gap = { gap: { reason: "epoch_changed", epoch: "b", from: 0, to: 0 } };
  const again = (event) => ({ ...event, epoch: "b", maybeDuplicate: true });
  const fails = (events) => assert.throws(() => check(4, outcomes, events), assert.AssertionError);

  assert.deepEqual(check(4, outcomes, [one, two, three, four]).epochs, ["a"]);
  assert.equal(check(4, outcomes, [one, gap, again(four)]).lost, 2);
  fails([one, two, three]);
  fails([one, two, four]);
  fails([one, two, two, three, four]);
  fails([two, one, three, four]);
  fails([one, again(two), again(three), again(four)]);
  // A repeat of which the publisher knows nothing.
  fails([one, two, three, four, gap, again(four)]);
  outcomes[4] = { ...outcomes[4], maybeDuplicate: true };
  assert.equal(check(4, outcomes, [one, two, three, four, gap, again(four)]).repeats, 1);
  fails([one, two, three, four, gap, { ...again(four), maybeDuplicate: false }]);
});

test("100,000 numbers through twenty cuts and five restarts", async (context) => {
  const disruptions = plan();
  for (const [done, disrupt] of disruptions.entries()) {
    await flow(Math.floor((COUNT * (done + 1)) / (disruptions.length + 1)));
    await disrupt();
    await online(publisher);
    await online(subscriber);
  }
  await flow(COUNT);
  await until(publisher, (count) => my.acked === count, COUNT);
  await until(subscriber, (count) => my.last === count, COUNT);

  const [outcomes, failures] = await report(publisher, "outcomes");
  const [events, others] = await report(subscriber, "events");
  assert.deepEqual([...failures, ...others, ...browser.errors.filter(isUnexpected)], []);
  const { epochs, lost, repeats } = check(COUNT, outcomes, events);
  assert.equal(epochs.length, RESTARTS + 1);
  assert.equal(events.filter(({ gap }) => gap).length, RESTARTS);
  assert.ok(lost > 0, "a hub in memory that ends unread takes what it had with it");
  assert.ok(
    repeats > 0,
    "a hub that ends before it has answered makes its publisher say everything again",
  );
  context.diagnostic(`${lost} numbers went with their hub and were told to be gone`);
  context.diagnostic(`${repeats} numbers came twice and were told to`);
});

/** Four cuts and a restart, five times over; each kind of cut hits both pages. */
function plan() {
  const cuts = [pullPlug, goOffline, swallow, closeSockets];
  const restarts = [crash, restart, crashUnread, crashUnanswered, restart];
  const disruptions = [];
  for (let round = 0; round < RESTARTS; round++) {
    for (const [at, cut] of cuts.entries()) {
      disruptions.push(() => cut((round + at) % 2 === 0 ? publisher : subscriber));
    }
    disruptions.push(restarts[round]);
  }
  assert.equal(disruptions.length, CUTS + RESTARTS);
  return disruptions;
}

/** The proxy ends the connection. */
async function pullPlug(side) {
  await losing([side], () => side.link.cut());
  side.link.restore();
}

/** The proxy swallows everything: the client must find out by itself. */
async function swallow(side) {
  await losing([side], () => side.link.silence());
  side.link.restore();
}

/** The browser has no network, and knows it. */
async function goOffline(side) {
  await losing([side], async () => {
    await side.page.context().setOffline(true);
    await side.page.evaluate(() => my.closeSockets());
  });
  await side.page.context().setOffline(false);
}

/** The socket ends although the network is there. */
async function closeSockets(side) {
  await losing([side], () => side.page.evaluate(() => my.closeSockets()));
}

/** The hub sends everybody away and ends. */
async function restart() {
  await losing([publisher, subscriber], () => hub.stop());
  await hub.restart();
}

/** The hub ends in the middle of everything. */
async function crash() {
  await losing([publisher, subscriber], () => hub.stop("SIGKILL"));
  await hub.restart();
}

/** The hub ends with messages that it has acknowledged and the subscriber, who is away, has not got. */
async function crashUnread() {
  await losing([subscriber], () => subscriber.link.cut());
  await until(publisher, () => my.tide.outbox.count === 0);
  await losing([publisher], () => hub.stop("SIGKILL"));
  await hub.restart();
  subscriber.link.restore();
}

/** The hub ends with messages that the subscriber has got and the publisher knows nothing of. */
async function crashUnanswered() {
  publisher.link.swallowAnswers();
  await publisher.page.evaluate(() => void my.upTo());
  let last = 0;
  for (let acked = 0; last <= acked; ) {
    last = await subscriber.page.evaluate(() => my.last);
    acked = await publisher.page.evaluate(() => my.outcomes.length - 1);
  }
  await crash();
}

/** Does something and returns when these pages have lost their link by it. */
async function losing(sides, disrupt) {
  const breaks = await Promise.all(sides.map(({ page }) => page.evaluate(() => my.breaks)));
  await disrupt();
  await Promise.all(
    sides.map((side, at) =>
      until(side, (before) => my.breaks > before || !my.isOnline, breaks[at]),
    ),
  );
}

/** Lets the publisher go on to `limit`, and returns when it and the subscriber are under way there. */
async function flow(limit) {
  await publisher.page.evaluate((limit) => void my.upTo(limit), limit);
  const start = limit - COUNT / (CUTS + RESTARTS + 1);
  await until(publisher, (start) => my.acked > start, start);
  await until(subscriber, (start) => my.last > start, start);
}

/** Waits until a page is online again. A client that waits long between its tries hears that there is a network. */
async function online({ page }) {
  const nudge = setInterval(
    () => page.evaluate(() => my.isOnline || window.dispatchEvent(new Event("online"))),
    UNAIDED_MS,
  );
  try {
    await page.waitForFunction(() => my.isOnline);
  } finally {
    clearInterval(nudge);
  }
}

/** What a page wrote down, and what it complains of. */
async function report({ page }, notes) {
  // As text: objects would each be taken over by themselves, for seconds.
  return JSON.parse(
    await page.evaluate((notes) => JSON.stringify([my[notes], my.failures]), notes),
  );
}

function until({ page }, isSo, argument) {
  return page.waitForFunction(isSo, argument);
}

/** A page that plays a part, with a link of its own that can be cut. */
async function open(part) {
  const link = await CuttableLink.start(hub.port);
  const page = await browser.open(site.url);
  await page.evaluate(
    async ([part, url]) => {
      const parts = await import("/page.js");
      globalThis.my = new parts[part](url);
      await globalThis.my.listen?.();
    },
    [part, link.url],
  );
  return { page, link };
}

/** The browser itself tells of sockets that found no hub, or that closed while they were written to. */
function isUnexpected(error) {
  return !error.startsWith("WebSocket ");
}

const UNAIDED_MS = 500;
