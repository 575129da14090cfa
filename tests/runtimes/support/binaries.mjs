// Programs that npm packages bring, for machines that they are made for.

import { existsSync } from "node:fs";
import { resolve } from "node:path";

const packages = resolve(import.meta.dirname, "../node_modules");

export const node = (major) =>
  found(`Node ${major}`, `node-${major}-${process.platform}-${process.arch}/bin/node`);

export const deno = () =>
  found(
    "Deno",
    `@deno/${process.platform}-${process.arch}-glibc/deno`,
    `@deno/${process.platform}-${process.arch}/deno`,
  );

export const bun = () =>
  found("Bun", `@oven/bun-${process.platform}-${BUN_CPUS[process.arch]}/bin/bun`);

/** A package's program that is a script. */
export const script = (path) => resolve(packages, path);

/** What cannot run here, and why. */
export class NotHere extends Error {
  constructor(what, why) {
    super(`${what} cannot run here: ${why}`);
    this.name = "NotHere";
  }
}

function found(what, ...paths) {
  const path = paths.map((path) => resolve(packages, path)).find((path) => existsSync(path));
  if (path) return path;
  throw new NotHere(
    what,
    `no npm package in tests/runtimes has it for ${process.platform} on ${process.arch}`,
  );
}

const BUN_CPUS = { arm64: "aarch64", x64: "x64" };
