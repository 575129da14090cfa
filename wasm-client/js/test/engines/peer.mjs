// A hub that answers as hubs do, and now and then as none should.

import golden from "../../../../tests/golden/frames.json";
import { block, counted, fieldsAs, frame, framesOf, gap, varint } from "./frames.mjs";

export function peerOf(random) {
  const world = {
    random,
    /** How rarely it is a bad one. */
    rarity: random.pick([3, 30, 1_000_000]),
    epochs: [random.bytes(8), random.bytes(8)],
    offset: 0,
    tails: 0,
    /** By tail, the last offset that was told. */
    live: {},
  };
  /** Frames not sent yet. */
  let queue = [];
  return {
    /** The link has ended. */
    forget() {
      world.live = {};
      queue = [];
    },
    hear(packet) {
      const answers = framesOf(packet).map((heard) => answer(world, heard));
      queue.push(...answers.filter(Boolean));
    },
    /** The next WebSocket message. */
    say() {
      if (random.once(3)) queue.push(remark(world));
      const message = queue.splice(0, 1 + random.below(4)).flat();
      return new Uint8Array(random.once(world.rarity) ? spoilt(random, message) : message);
    },
  };
}

/** Nothing, at times: nobody has to answer. */
function answer(world, { kind, fields }) {
  const { once } = world.random;
  const { 1: first = 0, 2: second = 0, 4: fourth = 0, 17: count = 1 } = fields;
  switch (kind) {
    case 1:
      return welcome(world);
    case 4:
      return once(8) ? refused(world, first, 0, 0) : opened(world, first, fourth);
    case 5:
      if (once(20)) return undefined;
      return (once(6) ? refused : acked)(world, first, second, count);
    case 7:
      return once(8) ? failed(world, first) : subscribed(world, first);
    case 8:
      delete world.live[second];
      return frame(71, { 1: first, 2: second });
    case 9:
      return once(8) ? failed(world, first) : page(world, first);
    case 10:
      return first && !once(4) ? frame(75, { 1: first }) : undefined;
    case 23:
      return once(3) ? failed(world, first) : frame(81, { 1: first, 3: lifetime(world.random) });
    default:
      return undefined;
  }
}

/** For how long a token is good. */
const lifetime = ({ number, pick }) => pick([undefined, 20, 60_000, number()]);

function welcome({ random }) {
  const { number, once, pick } = random;
  return frame(64, {
    1: number(),
    2: pick([1_000, 30_000, undefined]),
    3: pick([16, 65_536, 1_048_576]),
    4: pick([1, 3, 100, undefined]),
    5: once(2) ? textBytes("ada") : undefined,
    6: textBytes("peer"),
    7: pick([0, undefined, 0xa3b, 0xa1b, 1 << 11, 1 << 12, 1 << 13, 1 << 15, number()]),
    8: pick([undefined, 1_024, 1_048_576]),
    9: lifetime(random),
  });
}

function opened({ random: { number, once }, rarity }, handle, lowest) {
  return frame(67, { 1: handle, 2: once(4) ? 1 : 0, 3: once(rarity) ? number() : lowest });
}

function acked(world, handle, seq, count) {
  const { once, pick } = world.random;
  world.offset += count;
  return frame(68, {
    1: handle,
    2: seq,
    3: count,
    4: pick(world.epochs),
    5: world.offset,
    6: pick([undefined, 1, 2, 99]),
    7: once(5) ? 1 : undefined,
  });
}

function refused({ random: { below, number, once, pick }, epochs }, handle, seq, count) {
  return frame(69, {
    1: handle,
    2: seq,
    3: count,
    4: code(below),
    5: below(2),
    6: pick([undefined, 0, 250, number()]),
    7: once(2) ? textBytes("not so, grüße") : undefined,
    8: once(4) ? [...pick(epochs), ...varint(number())] : undefined,
  });
}

function failed({ random: { below, pick } }, request) {
  return frame(76, { 1: request, 2: code(below), 3: pick([undefined, 1_000]), 5: below(2) });
}

function subscribed(world, request) {
  const { below, number, once } = world.random;
  const [epoch] = world.epochs;
  const tail = once(10) ? number() : ++world.tails;
  world.live[tail] = world.offset;
  return frame(70, {
    1: request,
    2: tail,
    3: 1 + below(3),
    4: [...epoch, ...varint(world.offset)],
    5: once(3) ? gap(1 + below(6), number(), number(), epoch) : undefined,
  });
}

/** Some of what there is, now and then with a gap before it, or with nothing in it. */
function page(world, request) {
  const { below, number, once } = world.random;
  const [epoch] = world.epochs;
  const after = once(3) ? 0 : below(world.offset + 1);
  const found = messagesAfter(world, after);
  const place = (offset) => [...epoch, ...varint(offset)];
  return frame(74, {
    1: request,
    2: once(3) ? 1 : undefined,
    3: place(after),
    4: place(Math.max(found.newest, world.offset)),
    5: once(6) ? gap(1 + below(6), number(), number(), epoch) : undefined,
    6: once(4) ? [] : block(0, once(30) ? number() : after, found.messages).slice(1),
  });
}

/** Something that nobody asked for. */
function remark(world) {
  const { below, once, pick } = world.random;
  const { epochs, live } = world;
  const names = Object.keys(live);
  if (!names.length || once(12)) {
    const goodbye = { 1: code(below), 2: pick([undefined, 2_500]) };
    return once(6) ? frame(77, goodbye) : frame(75, {});
  }
  const tail = Number(pick(names));
  const last = live[tail];
  switch (below(12)) {
    case 0:
      live[tail] = last + below(5);
      return frame(72, { 1: tail, 2: gap(5, last, live[tail], pick(epochs)), 3: live[tail] });
    case 1:
      return frame(73, { 1: tail, 2: epochs[0], 3: last + below(3) });
    case 2:
      delete live[tail];
      return frame(71, { 2: tail, 3: code(below), 5: below(2) });
    default:
      return news(world, tail, last);
  }
}

function news(world, tail, last) {
  const { messages, newest } = messagesAfter(world, last);
  world.live[tail] = newest;
  world.offset = Math.max(world.offset, newest);
  return block(tail, world.random.once(30) ? newest : last, messages);
}

function messagesAfter(world, last) {
  const { below, bytes, once } = world.random;
  const messages = [];
  let newest = last;
  for (let count = 1 + below(5); count > 0; count--) {
    const step = once(5) ? 1 + below(300) : 1;
    newest += step;
    const ext = once(4) ? extOf(world) : [];
    messages.push([step, 1 + below(4), bytes(once(50) ? 5_000 : below(20)), ext]);
  }
  return { messages, newest };
}

/** What a message has besides, now and then what none may have. */
function extOf({ random: { below, bytes, number, once }, rarity }) {
  const headers = Array.from({ length: below(5) }, () => counted(bytes(below(9)))).flat();
  return fieldsAs({
    8: once(2) ? bytes(below(9)) : undefined,
    9: once(2) ? [...headers, ...(once(rarity) ? [9] : [])] : undefined,
    11: once(3) ? number() : undefined,
    19: once(3) ? below(2) : undefined,
    30: once(9) ? 1 : undefined,
  });
}

/** Another message, or this one with an error in it. */
function spoilt({ below, bytes, pick }, message) {
  const place = below(message.length + 1);
  switch (below(5)) {
    case 0:
      return bytesOf(pick(examples));
    case 1:
      return bytes(below(40));
    case 2:
      return message.slice(0, place);
    case 3:
      return [...message.slice(0, place), ...bytes(3), ...message.slice(place)];
    default:
      return message.map((byte, at) => (at === place ? byte ^ (1 << below(8)) : byte));
  }
}

/** One of those that there are, or that may come. */
function code(below) {
  return 1 + below(26);
}

const examples = golden
  .filter(({ side, binary }) => side === "hub" && binary)
  .map(({ binary }) => binary);

function bytesOf(hex) {
  return hex.match(/../g).map((pair) => Number.parseInt(pair, 16));
}

/** Of texts below U+0800. */
function textBytes(text) {
  return [...text].flatMap((letter) => {
    const code = letter.codePointAt(0);
    return code < 128 ? [code] : [192 | (code >> 6), 128 | (code & 63)];
  });
}
