// Runs other programs: `run` shows what they print, `read` returns it.

import { spawn, spawnSync } from "node:child_process";
import { root } from "./paths.mjs";

/** Runs a program to its end, its output passed on; throws `CommandFailed` unless it succeeds. */
export function run(program, args = [], { env = {}, cwd = root } = {}) {
  return new Promise((done, fail) => {
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", "inherit", "inherit"],
    });
    child.on("error", (cause) => fail(new CommandFailed(program, args, cause.message)));
    child.on("close", (code, signal) => {
      if (code === 0) done();
      else fail(new CommandFailed(program, args, signal ?? `exit code ${code}`));
    });
  });
}

/** Runs a program quietly: whether it succeeded, and what it printed. */
export function read(program, args = [], { env = {}, cwd = root } = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  return { ok: !error && status === 0, stdout: stdout ?? "", stderr: stderr ?? String(error) };
}

export class CommandFailed extends Error {
  constructor(program, args, reason) {
    super(`\`${[program, ...args].join(" ")}\` failed: ${reason}`);
    this.name = "CommandFailed";
  }
}

const OUTPUT_BYTES_MAX = 256 << 20;
