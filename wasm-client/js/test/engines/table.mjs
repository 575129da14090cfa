// The rows that an engine leaves, as far as a player needs them.

import { width } from "../../src/engine/rows.ts";
import { Kind, Standing } from "../../src/engine/tables.ts";

export function tableOf(engine, count) {
  const halves = count * width * 2;
  const words = new Uint32Array(engine.memory.buffer, engine.rows(), halves).slice();
  const starts = Array.from({ length: count }, (_, row) => row * width * 2);
  const packets = starts
    .filter((at) => words[at] === Kind.Send)
    .map((at) => packetOf(engine, words, at));
  // Where a packet lies is the engine's own affair.
  for (const at of starts) if (words[at] === Kind.Send) words[at + 1] = 0;
  const last = halves - width * 2;
  const upper = words[last + 3];
  return {
    packets,
    /** Of the link, in their order. */
    wishes: starts
      .map((at) => words[at])
      .filter((it) => it === Kind.OpenLink || it === Kind.CloseLink),
    ends: starts.some((at) => words[at] === Kind.Status && words[at + 1] === Standing.Closed),
    deadline: upper < 2 ** 21 ? upper * 2 ** 32 + words[last + 2] : Number.POSITIVE_INFINITY,
    mix(digest) {
      words.forEach(digest.mix);
      for (const { bytes } of packets) bytes.forEach(digest.mix);
    },
    text: () =>
      starts.map((at) => `row ${words.subarray(at, at + width * 2).join(" ")}`).join("\n"),
  };
}

/** What the engine has written of a packet, and where payloads belong. */
function packetOf(engine, words, at) {
  const bytes = new Uint8Array(engine.memory.buffer, words[at + 1], words[at + 2]).slice();
  const places = [];
  for (let next = at + width * 2; words[next] === Kind.Splice; next += width * 2) {
    places.push(words[next + 1]);
  }
  return { bytes, places };
}
