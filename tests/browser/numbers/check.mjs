// What must hold of numbers that were published in order, by what the publisher and the subscriber were told.

import assert from "node:assert/strict";

/**
 * Throws unless, within an epoch, the numbers came without a hole, a repeat or a step back; unless each change of
 * epoch was told by a gap that covers every number that never came; and unless every repeat was told to both sides.
 *
 * `outcomes[n]` is `{ epoch, offset, maybeDuplicate }`; `events` are `{ n, epoch, offset, maybeDuplicate }` or
 * `{ gap: { reason, epoch, from, to } }`.
 */
export function check(count, outcomes, events) {
  const seen = new Set();
  const epochs = [];
  let last = { n: 0 };
  let gaps = [];
  for (const event of events) {
    if (event.gap) {
      assert.equal(event.gap.reason, "epoch_changed", told(event.gap));
      gaps.push(event.gap);
      continue;
    }
    if (event.epoch === last.epoch) checkNext(last, event, gaps);
    else {
      checkEpoch(last, event, gaps, epochs);
      checkLost(last.n + 1, event, gaps, seen, outcomes);
      epochs.push(event.epoch);
    }
    checkRepeat(event, seen, outcomes[event.n], epochs.length);
    seen.add(event.n);
    last = event;
    gaps = [];
  }
  assert.equal(last.n, count, "the last number came last");
  assert.deepEqual(gaps, [], "nothing is told to be gone after it");
  return { epochs, lost: count - seen.size, repeats: events.filter(isMessage).length - seen.size };
}

/** While one hub runs nothing is lost, doubled or out of order. */
function checkNext(last, event, gaps) {
  assert.deepEqual(gaps, [], `before ${told(event)}`);
  assert.equal(event.n, last.n + 1, `${told(event)} came after ${told(last)}`);
  assert.ok(event.offset > last.offset, `${told(event)} came after ${told(last)}`);
}

function checkEpoch(last, event, gaps, epochs) {
  assert.ok(!epochs.includes(event.epoch), `${told(event)} is of an epoch that was over`);
  const isTold = gaps.some(({ epoch }) => epoch === event.epoch);
  assert.ok(isTold || last.n === 0, `no gap told of the new epoch of ${told(event)}`);
}

/** Numbers that were skipped went with the hub that had acknowledged them, or lie where a gap says so. */
function checkLost(from, event, gaps, seen, outcomes) {
  for (let n = from; n < event.n; n++) {
    const { epoch, offset } = outcomes[n] ?? {};
    const isTold = gaps.some(
      (gap) => gap.epoch !== epoch || (gap.from <= offset && offset <= gap.to),
    );
    assert.ok(epoch && isTold && !seen.has(n), `${n}, acknowledged at ${epoch}:${offset}, is lost`);
  }
}

function checkRepeat(event, seen, outcome, epochs) {
  assert.ok(outcome, `${event.n} was delivered and never acknowledged`);
  if (epochs === 1) assert.ok(!event.maybeDuplicate, `${told(event)}: no hub had been lost yet`);
  if (!seen.has(event.n)) return;
  assert.ok(event.maybeDuplicate, `${told(event)} came again and does not say so`);
  assert.ok(outcome.maybeDuplicate, `its publisher was not told that ${event.n} may be doubled`);
}

function isMessage(event) {
  return event.gap === undefined;
}

function told(event) {
  return JSON.stringify(event);
}
