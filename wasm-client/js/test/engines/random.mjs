// Numbers that a seed decides. No classes in these files: Hermes plays them too, and its stand-alone build has none.

/** The same numbers for the same seed, wherever it runs. */
export function randomOf(seed) {
  let state = seed >>> 0;

  /** 32 bits. */
  const next = () => {
    state = (state + 0x9e3779b9) >>> 0;
    let bits = state;
    bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    return (bits ^ (bits >>> 16)) >>> 0;
  };
  const below = (count) => next() % count;
  /** True one time of `count`. */
  const once = (count) => below(count) === 0;
  const pick = (items) => items[below(items.length)];
  /** Mostly small, at times as large as a number may be. */
  const number = () => {
    const bits = pick([1, 3, 7, 8, 14, 31, 32, 52, 53]);
    return Math.floor((next() / 2 ** 32) * 2 ** bits);
  };
  const bytes = (length) => {
    const list = [];
    for (let at = 0; at < length; at++) list.push(next() & 255);
    return list;
  };
  return { next, below, once, pick, number, bytes };
}
