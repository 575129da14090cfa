// What several tests need: deadlines, engines that stop, and a page around Node.

import assert from "node:assert/strict";

/** What becomes of a promise: `["fulfilled", value]` or `["rejected", reason]`; fails where it stays pending. */
export function settled(promise, what, ms = 5_000) {
  return new Promise((done, fail) => {
    const late = setTimeout(() => fail(new Error(`${what} is pending`)), ms);
    const end = (how) => (value) => {
      clearTimeout(late);
      done([how, value]);
    };
    promise.then(end("fulfilled"), end("rejected"));
  });
}

/** Waits until something holds. */
export async function until(holds, what = holds.toString(), ms = 5_000) {
  const late = performance.now() + ms;
  while (!holds()) {
    assert.ok(performance.now() < late, `not within ${ms} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 1));
  }
}

/** The memories of all engines, by order of their making. */
const memories = [];
let forbidden;

/** Makes an engine, unless that is forbidden, and keeps its memory at hand. */
export function watched(make) {
  if (forbidden) throw forbidden;
  const engine = make();
  memories.push(engine.memory);
  return engine;
}

const instantiate = WebAssembly.instantiate;
WebAssembly.instantiate = async (...given) => {
  const instance = await instantiate(...given);
  watched(() => instance.exports);
  return instance;
};

/** Lets no engine be made, as a page's policy does, until the function that it returns is called. */
export function forbidEngines() {
  forbidden = new WebAssembly.CompileError("blocked by CSP");
  return () => {
    forbidden = undefined;
  };
}

/** Bytes that the newest engine has taken. */
export const engineBytes = () => memories.at(-1).buffer.byteLength;

/** Makes the next call of the newest engine trap. */
export function corrupt() {
  new Uint8Array(memories.at(-1).buffer).fill(0xff);
}

/** Gives Node the events of a page, until `leave`. */
export function enterPage() {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const names = ["addEventListener", "removeEventListener", "dispatchEvent"];
  for (const name of names) globalThis[name] = window[name].bind(window);
  globalThis.document = document;
  return {
    window,
    document,
    tell(type, properties = {}) {
      const target = type === "visibilitychange" ? document : window;
      target.dispatchEvent(Object.assign(new Event(type), properties));
    },
    leave() {
      for (const name of [...names, "document"]) delete globalThis[name];
    },
  };
}
