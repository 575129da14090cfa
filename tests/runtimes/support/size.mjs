// What files cost on the way to a page.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/** As the program `gzip -9` counts. */
export function gzipBytes(...files) {
  if (files.length === 0) throw new Error("there is nothing to count");
  const sizes = files.map((file) => gzipSync(readFileSync(file), { level: 9, memLevel: 9 }).length);
  return sizes.reduce((sum, size) => sum + size, 0);
}
