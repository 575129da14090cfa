// The engine in WebAssembly and the same one in JavaScript, side by side: whatever they are told, they do the same.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Call, Kind } from "../src/engine/tables.ts";
import { scriptEngine } from "../src/load/script.ts";
import { play } from "./engines/play.mjs";

const module = new WebAssembly.Module(readFileSync("target/wasm/tidewire.wasm"));
const wasmEngine = () => new WebAssembly.Instance(module).exports;

/** Fails with what happened before the first step that the engines take otherwise. */
function compare(seed, steps) {
  const [wasm, script] = [wasmEngine, scriptEngine].map((make) => digestsOf(make, seed, steps));
  const first = wasm.findIndex((digest, step) => digest !== script[step]);
  if (first < 0) return;
  const [before, after] = [wasmEngine, scriptEngine].map((make) => {
    const lines = [];
    play(make(), seed, first + 1, (line) => lines.push(line));
    return lines.join("\n").split("\n").slice(-40);
  });
  assert.deepEqual(after, before, `seed ${seed} differs at step ${first}`);
}

function digestsOf(make, seed, steps) {
  try {
    return play(make(), seed, steps);
  } catch (cause) {
    throw new Error(`seed ${seed} ends ${make.name} in a trap`, { cause });
  }
}

test("what lives hold is all that an engine can be told, and all that it can want", () => {
  const [called, wanted] = [new Set(), new Set()];
  const note = (line) => {
    const [, call] = /: call (\d+) /.exec(line) ?? [];
    if (call) called.add(Number(call));
    for (const [, kind] of line.matchAll(/^row (\d+) /gm)) wanted.add(Number(kind));
  };
  for (let seed = 1; seed <= 300; seed++) play(wasmEngine(), seed, 300, note);
  const numbers = (of) => Object.values(of).filter((it) => typeof it === "number");
  const missing = (of, seen) => numbers(of).filter((number) => !seen.has(number));
  assert.deepEqual([missing(Call, called), missing(Kind, wanted)], [[], []]);
});

test("both engines do the same, whatever they are told", () => {
  const { TIDEWIRE_FUZZ_SECONDS: seconds, TIDEWIRE_FUZZ_SEED: start = "1" } = process.env;
  const end = performance.now() + Number(seconds ?? 0) * 1000;
  let seed = Number(start);
  for (const least = seed + 200; seed < least || performance.now() < end; seed++) {
    compare(seed, 300);
  }
  if (seconds) console.log(`engines: seeds ${start} to ${seed - 1}`);
});
