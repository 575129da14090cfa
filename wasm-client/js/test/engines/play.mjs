// Plays an engine through a life that a seed decides, and tells what it did at each step as one number.

import { Call } from "../../src/engine/tables.ts";
import { peerOf } from "./peer.mjs";
import { randomOf } from "./random.mjs";
import { seatOf } from "./seat.mjs";

/** The digests of `steps` steps, or fewer if the client comes to its end. What happens is told to `say`, for people. */
export function play(engine, seed, steps, say = () => {}) {
  const random = randomOf(seed);
  const { next, number, once, pick } = random;
  const peer = peerOf(random);
  const seat = seatOf(engine, peer, say);
  const word = () => (BigInt(next()) << 32n) | BigInt(next());
  const bytesMax = pick([64, 65_536, Number.MAX_SAFE_INTEGER]);
  const countMax = pick([3, 100, 10_000, 2 ** 32 - 1]);
  engine.start(word(), word(), BigInt(number()), countMax, bytesMax, once(2), once(4));
  seat.call(Call.Connect);
  const act = actor(seat, peer, random);
  const digests = [];
  // What has ended must bear a few calls more.
  for (let step = 0; step < steps && !(seat.ended && once(20)); step++) {
    seat.now += once(40) ? pick([5_000, 70_000, 1e9]) : pick([0, 0, 0.25, 1, 7.5, 300]);
    act();
    if (!once(4)) seat.take(seat.call(Call.Drain));
    digests.push(seat.digest.value());
  }
  return digests;
}

/** Does one thing that an application, a page or a hub may do. */
function actor(seat, peer, random) {
  const { below, once, pick } = random;
  const { call, put } = seat;
  const made = { published: 0, listeners: 0 };
  const others = [
    () => call(Call.Cancel, below(made.published + 2)),
    () => call(Call.Unsubscribe, below(made.listeners + 2)),
    () => call(Call.Settled, below(made.listeners + 2), below(9), amount(random, 2_000)),
    () => call(pick([Call.Connect, Call.Online, Call.Timeout])),
    () => call(Call.NoToken, once(50) ? 1 : 0),
    () =>
      call(
        Call.Token,
        put(Uint8Array.from("a.b.c".repeat(pick([0, 1, 2_000])), (letter) => letter.charCodeAt(0))),
      ),
    () => call(Call.Suspend),
    () => call(Call.Ping),
    () => call(Call.CatchUp, below(made.listeners + 2)),
    () => send(seat, random),
    () => call(Call.Withdraw, below(3)),
    () => {
      const count = below(5);
      call(Call.Batch, made.published + 1, amount(random, count + 1), amount(random, 2_000));
      for (let n = below(count + 2); n > 0; n--) publish(seat, random, made);
    },
    () => read(seat, random, made, Call.History, amount(random, 50)),
    // What is large is given back, so the next input asks for memory once more.
    () => put(new Uint8Array(pick([10, 100_000, 300_000]))),
    () => once(100) && call(Call.Close),
    () => {
      if (seat.link === "none") return;
      seat.cut();
      call(Call.LinkClosed, pick([1000, 1006, 1009, 4001, 4004, 4015, 4999]));
    },
  ];
  return () => {
    const choice = below(20);
    if (seat.link === "opening" && once(2)) {
      seat.link = "open";
      call(Call.LinkOpened);
    } else if (choice < 10 && seat.link === "open") {
      seat.take(call(Call.Received, put(peer.say())));
    } else if (choice < 11) {
      wait(seat);
    } else if (choice < 13) {
      publish(seat, random, made);
    } else if (choice < 15) {
      read(seat, random, made, Call.Subscribe, below(8));
    } else {
      pick(others)();
    }
  };
}

/** Until the engine wants to be called. One that was suspended waits for a page that is shown again. */
function wait(seat) {
  const isAsleep = seat.deadline === Number.POSITIVE_INFINITY;
  if (!isAsleep) seat.now = Math.max(seat.now, seat.deadline);
  seat.call(isAsleep ? Call.Online : Call.Timeout);
}

function publish(seat, random, made) {
  const { below, number, once, pick } = random;
  const length = amount(random, pick([1, 20, 500, 70_000]));
  const seq = once(20) ? number() % 2 ** 40 : 0;
  if (once(3)) besides(seat, random);
  const topic = seat.put(name(random));
  seat.call(Call.Publish, topic, ++made.published, length, 1 + below(4) + 8 * seq);
}

function send(seat, random) {
  const { below, bytes, once, pick } = random;
  if (once(3)) besides(seat, random);
  const topic = name(random);
  const payload = bytes(below(pick([1, 20, 500, 70_000])));
  seat.put([...topic, ...payload]);
  seat.call(
    Call.Send,
    topic.length,
    payload.length,
    amount(random, 2_000),
    1 + below(4) + 8 * below(3),
  );
}

/** What the next message has besides its payload. */
function besides(seat, random) {
  const { below, bytes, once, pick } = random;
  const texts = pick([[], [107], [107, 0, 97, 0, 98], [0, 97, 0, 98, 0, 99], bytes(below(20))]);
  seat.put([...texts, ...bytes(16)]);
  seat.call(Call.Besides, texts.length, below(40), once(2) ? 0 : amount(random, 2_000));
}

/** A subscription or a page: both are numbered as listeners are. */
function read(seat, random, made, call, last) {
  const { below, bytes } = random;
  const text = name(random);
  const kind = below(6);
  const positions = kind >= 4 ? below(3) : 0;
  seat.put([...text, ...bytes(16 * positions)]);
  const much = kind >= 4 ? positions : amount(random, random.number() + 1);
  if (seat.call(call, text.length, kind, much, last) >= 0) made.listeners++;
}

/** Below `end`, but for one in thirty, which tries how engines make numbers whole. */
function amount({ below, once, pick }, end) {
  if (!once(30)) return below(end);
  return pick([-1, 0.5, 2 ** 32 - 1, 2 ** 32, 2 ** 53, 2 ** 64, 1e300, -1e300, Number.NaN]);
}

function name({ below, bytes, once, pick }) {
  if (once(20)) return bytes(below(300));
  const tokens = [pick(["a", "b", "orders"])];
  while (once(2)) tokens.push(pick(["a", "b", "orders", "*", ">", "", "$x"]));
  return [...tokens.join(".")].map((letter) => letter.charCodeAt(0));
}
