// What waits for its outcome: each outcome costs the same, however much waits beside it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Entries } from "../src/outbox.ts";

const count = 200_000;
const publisher = { unsettled: 0 };

test("an outcome looks at no other entry, whoever waits for all of them", async (context) => {
  const entries = new Entries(() => {});
  const all = Array.from({ length: count }, () =>
    entries.add(publisher, "t", 1, new Uint8Array(1)),
  );
  const [early, late] = [entries.flushed(publisher), entries.flushed(publisher)];
  let walks = 0;
  for (const way of ["keys", "values", "entries", "forEach", Symbol.iterator]) {
    const walk = Map.prototype[way];
    context.mock.method(Map.prototype, way, function (...given) {
      walks++;
      return walk.apply(this, given);
    });
  }
  // The newest first: nothing that looks for the oldest is done soon.
  for (const entry of all.reverse()) entries.remove(entry);
  await Promise.all([early, late]);
  assert.deepEqual([walks, entries.count, entries.bytes], [0, 0, 0]);
});

test("whoever waits waits for what was there, and for nothing that came later", async () => {
  const entries = new Entries(() => {});
  const [first, second] = [1, 2].map(() => entries.add(publisher, "t", 1, new Uint8Array(1)));
  const flushed = entries.flushed(publisher);
  const third = entries.add(publisher, "t", 1, new Uint8Array(1));
  entries.remove(second);
  entries.remove(second);
  entries.remove(first);
  await flushed;
  assert.equal(entries.entryOf(third.id), third);
});
