// Pages of history, and the sign that a subscription has caught up.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { WebSocket } from "ws";
import { createClient } from "../src/index.ts";
import {
  block,
  Client,
  epoch,
  epochText,
  frame,
  gap,
  Hub,
  page,
  position,
  ScriptedHub,
} from "./scripted-hub.mjs";
import { corrupt, settled, until } from "./support.mjs";

let hub;
let tide;

beforeEach(async () => {
  hub = await ScriptedHub.start();
  tide = createClient(hub.url, { WebSocket });
});

afterEach(async () => {
  tide.close();
  await hub.stop();
});

/** What a hub says that has pages below a place. */
const features = 1 << 15;

/** The start of a question as the wire has it. */
const startOf = ({ fields }) => [...fields[3]];

test("a page has its messages, oldest first, and says where the next one starts", async () => {
  const asked = tide.topic("t").history({ limit: 2 });
  await hub.welcome();
  const question = await hub.next(Client.history);
  assert.deepEqual(startOf(question), [2, 2], "the last two");
  const messages = [
    [5, '{"n":1}'],
    [7, '{"n":2}'],
  ];
  // Two are all that it has room for.
  hub.send(page(question.fields[1], 4, [...messages, [9, '{"n":3}']]));
  const first = await asked;
  assert.deepEqual(
    first.messages.map(({ topic, offset, data }) => [topic, offset, data.n]),
    [
      ["t", 5, 1],
      ["t", 7, 2],
    ],
  );
  assert.deepEqual([first.more, first.gap], [true, undefined]);
  assert.deepEqual(first.next, [{ epoch: epochText, offset: 7 }]);
  assert.deepEqual(first.previous, [{ epoch: epochText, offset: 5 }]);

  const second = tide.topic("t").history({ from: first.next });
  const { fields } = await hub.next(Client.history);
  assert.equal(fields[3][0], 4, "after a place");
  hub.send(page(fields[1], 9, [], { lost: gap(8, 9) }));
  assert.deepEqual(await second, {
    messages: [],
    next: [{ epoch: epochText, offset: 9 }],
    previous: [{ epoch: epochText, offset: 10 }],
    more: false,
    gap: { type: "gap", epoch: epochText, from: 8, to: 9, reason: "retention" },
  });
});

test("a page is made of as many as the hub makes of it", async () => {
  const asked = tide.topic("t").history();
  await hub.welcome();
  const offsets = Array.from({ length: 100 }, (_, index) => index + 1);
  for (const offset of offsets) {
    const question = await hub.next(Client.history);
    if (offset === 1) assert.deepEqual(startOf(question), [2, 100], "the last hundred");
    hub.send(page(question.fields[1], offset - 1, [[offset, `${offset}`]], { more: true }));
  }
  const { messages, more } = await asked;
  assert.deepEqual(
    messages.map(({ data }) => data),
    offsets,
  );
  assert.equal(more, true);
});

/** A start below a place, as the wire has it. */
const below = (last, offset) => [5, last, ...position(epoch, offset)];

test("a page below a place is put together from its parts, and says what lies before it", async () => {
  const [topic, pattern] = [tide.topic("t"), tide.pattern("t.*")];
  const message = { type: "message", epoch: epochText, offset: 9, data: "a message is a place" };
  for (const [named, before] of [
    [topic, message],
    [topic, { epoch: epochText, offset: 9 }],
    [pattern, [{ epoch: epochText, offset: 9 }]],
  ]) {
    const asked = named.history({ before, limit: 4 });
    if (named === topic && before === message) await hub.welcome(features);
    const first = await hub.next(Client.history);
    assert.deepEqual(startOf(first), below(4, 9));
    const newer = [
      [7, "7"],
      [8, "8"],
    ];
    hub.send(page(first.fields[1], 6, newer, { more: true }));
    const second = await hub.next(Client.history);
    assert.deepEqual(startOf(second), below(2, 7));
    hub.send(page(second.fields[1], 3, [[5, "5"]], { upto: 6, lost: gap(1, 3) }));
    const { messages, ...rest } = await asked;
    assert.deepEqual(
      messages.map(({ data }) => data),
      [5, 7, 8],
    );
    assert.deepEqual(rest, {
      next: [{ epoch: epochText, offset: 8 }],
      previous: [{ epoch: epochText, offset: 4 }],
      more: false,
      gap: { type: "gap", epoch: epochText, from: 1, to: 3, reason: "retention" },
    });
    const further = named.history({ before: rest.previous });
    const { fields } = await hub.next(Client.history);
    assert.deepEqual([...fields[3]], below(100, 4));
    hub.send(page(fields[1], 0, [], { upto: 3 }));
    await further;
  }
});

test("a hub that has no pages below a place is not asked for one", async () => {
  const refused = tide.topic("t").history({ before: { epoch: epochText, offset: 9 } });
  const other = tide.topic("u").history();
  await hub.welcome();
  await assert.rejects(refused, { code: "not_supported" });
  const question = await hub.next(Client.history);
  assert.equal(question.fields[2].toString(), "u");
  hub.send(page(question.fields[1], 0, []));
  await other;
});

test("a page that was given is not asked for again by the next engine", async () => {
  tide.on("error", () => {});
  const asked = tide.topic("t").history();
  await hub.welcome();
  const { fields } = await hub.next(Client.history);
  hub.send(page(fields[1], 0, [[1, "1"]]));
  await asked;
  corrupt();
  const next = tide.topic("u").history();
  await hub.welcome();
  const question = await hub.next(Client.history);
  assert.equal(question.fields[2].toString(), "u");
  hub.send(page(question.fields[1], 0, []));
  await next;
});

test("a page is asked for again on the next connection, and by the next engine", async () => {
  tide.on("error", () => {});
  const asked = tide.topic("t").history();
  await hub.welcome();
  await hub.next(Client.history);
  hub.cut();
  await hub.welcome();
  await hub.next(Client.history);
  corrupt();
  tide.topic("u").publish(1);
  await hub.welcome();
  const { fields } = await hub.next(Client.history);
  hub.send(page(fields[1], 0, [[1, "1"]]));
  assert.deepEqual(
    (await asked).messages.map(({ data }) => data),
    [1],
  );
});

test("a refused page rejects with the hub's words; one message that is no JSON is left out and told", async () => {
  const errors = [];
  tide.on("error", ({ code }) => errors.push(code));
  const refused = tide.pattern("secret.*").history();
  await hub.welcome();
  const { fields } = await hub.next(Client.history);
  hub.send(frame(Hub.failed, { 1: fields[1], 2: 5, 4: "neither a rule nor a token allows this" }));
  await assert.rejects(refused, {
    code: "forbidden",
    message: /history of secret.*neither a rule/,
  });
  const broken = tide.topic("t").history();
  const question = await hub.next(Client.history);
  const messages = [
    [1, "{no json"],
    [2, "2"],
  ];
  hub.send(page(question.fields[1], 0, messages));
  assert.deepEqual(
    (await broken).messages.map(({ data }) => data),
    [2],
  );
  assert.deepEqual(errors, ["bad_payload"]);
});

test("mistakes of a question reject, an abort with its reason", async () => {
  const topic = tide.topic("t");
  const place = { epoch: epochText, offset: 5 };
  const before = [1, null, [], [1], "earliest", { last: 5 }, { offset: 5 }].map((before) => ({
    before,
  }));
  for (const options of [
    { limit: 0 },
    { limit: 1.5 },
    { from: "now" },
    { before: place, from: place },
    { before: place, from: "earliest" },
    ...before,
    null,
  ]) {
    await assert.rejects(topic.history(options), { name: "TypeError", code: "bad_argument" });
  }
  const reason = new Error("enough");
  await assert.rejects(topic.history({ signal: AbortSignal.abort(reason) }), reason);
  const controller = new AbortController();
  const { signal } = controller;
  const added = [];
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...given) => {
    added.push(given[1]);
    addEventListener.apply(signal, given);
  };
  signal.removeEventListener = (...given) => {
    added.splice(added.indexOf(given[1]), 1);
    removeEventListener.apply(signal, given);
  };
  const given = topic.history({ signal });
  assert.equal(added.length, 1);
  await hub.welcome();
  const { fields } = await hub.next(Client.history);
  hub.send(page(fields[1], 0, []));
  await given;
  assert.deepEqual(added, [], "what is done listens to no signal");
  const asked = topic.history({ signal });
  controller.abort(reason);
  await assert.rejects(asked, reason);
  assert.deepEqual(added, []);
});

/** Starts a subscription to a log that holds two messages. */
async function backlog(handler) {
  const sub = tide.topic("t").subscribe(handler, { from: { last: 2 } });
  let isThere = false;
  sub.caughtUp.then(() => {
    isThere = true;
  });
  await hub.welcome();
  await hub.begin(5, 3, 2);
  const { fields } = await hub.next(Client.history);
  hub.send(page(fields[1], 8, []));
  await sub.ready;
  return { sub, isThere: () => isThere };
}

test("a subscription has caught up when its handler is done with all that was there", async () => {
  const releases = [];
  const { sub, isThere } = await backlog(() => new Promise((done) => releases.push(done)));
  const messages = [
    [6, "6"],
    [8, "8"],
    [9, "9"],
  ];
  hub.send(block(5, 3, messages));
  await until(() => sub.lag === 2);
  assert.equal(isThere(), false);
  for (let done = 1; done <= 3; done++) {
    await until(() => releases.length);
    assert.equal(isThere(), false);
    releases.shift()();
  }
  await sub.caughtUp;
});

test("one whose handler has the last message has caught up when it is done with that", async () => {
  const releases = [];
  const { isThere } = await backlog(() => new Promise((done) => releases.push(done)));
  hub.send(block(5, 3, [[8, "8"]]));
  await until(() => releases.length);
  // The hub's word that this was all comes while the handler is at work.
  const answer = tide.ping();
  const { fields } = await hub.next(Client.heartbeat);
  hub.send(frame(Hub.heartbeat, { 1: fields[1] }));
  await answer;
  assert.equal(isThere(), false);
  releases.shift()();
  await until(isThere);
});

test("one that starts with what comes next has caught up when it is ready", async () => {
  const messages = tide.topic("t").messages();
  const caughtUp = settled(messages.caughtUp, "it");
  await hub.welcome();
  await hub.begin(5, 3);
  const { fields } = await hub.next(Client.history);
  hub.send(page(fields[1], 3, []));
  assert.deepEqual(await caughtUp, ["fulfilled", undefined]);
  messages.return();
  await messages.caughtUp;
});

test("another engine goes on to tell when a subscription has caught up", async () => {
  tide.on("error", () => {});
  const { isThere } = await backlog(() => {});
  corrupt();
  tide.topic("u").publish(1);
  await hub.welcome();
  await hub.begin(6, 3, 2);
  const { fields } = await hub.next(Client.history);
  hub.send(page(fields[1], 8, []), block(6, 3, [[8, "8"]]));
  await until(isThere);
});
