// The lives that runtimes play to be compared.

import { play } from "./play.mjs";

/** What a player says in the end, a line for each life. */
export function lives(make) {
  const lines = [];
  for (let seed = 1; seed <= 40; seed++) lines.push(String(play(make(), seed, 300).pop()));
  return lines.join("\n");
}
