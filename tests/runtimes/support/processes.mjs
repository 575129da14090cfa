// Programs in processes of their own. Each has a deadline, and is ended by its id.

import { spawn } from "node:child_process";
import { once } from "node:events";

/**
 * Runs a program until it ends by itself; gives what it printed. Throws if it fails, does not end in time, or complains
 * although it should be quiet.
 */
export async function output(program, args, { cwd, env = {}, seconds = 60, isQuiet = false }) {
  const child = start(program, args, { cwd, env });
  let isLate = false;
  const deadline = setTimeout(() => {
    isLate = true;
    end(child);
  }, seconds * 1000);
  const [code, signal] = await once(child, "close").catch((cause) => {
    throw new Error(`${program} does not start: ${cause.message}`);
  });
  clearTimeout(deadline);
  const { stdout, stderr } = child.said;
  if (code === 0 && !(isQuiet && stderr)) return stdout;
  const what = isLate ? `did not end within ${seconds} s` : `ended with ${signal ?? code}`;
  throw new Error(`${[program, ...args].join(" ")} ${what}; it said:\n${words(child)}`);
}

/** Starts a server; gives it with the match of `ready` in what it prints, once it is there. */
export async function server(program, args, { cwd, env = {}, ready, seconds = 60 }) {
  const child = start(program, args, { cwd, env });
  const found = await new Promise((done, fail) => {
    const late = () =>
      fail(new Error(`${program} is not ready after ${seconds} s: ${words(child)}`));
    const deadline = setTimeout(late, seconds * 1000);
    child.stdout.on("data", () => {
      const match = ready.exec(child.said.stdout);
      if (!match) return;
      clearTimeout(deadline);
      done(match);
    });
    child.on("error", (cause) => fail(new Error(`${program} does not start: ${cause.message}`)));
    child.on("close", () =>
      fail(new Error(`${program} ended before it was ready: ${words(child)}`)),
    );
  }).catch((error) => {
    end(child);
    throw error;
  });
  const stop = async () => {
    const closed = once(child, "close");
    if (end(child)) await closed;
  };
  return { found, stop };
}

function start(program, args, { cwd, env }) {
  // A group of its own, so that what it starts ends with it.
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, ...QUIET, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  child.said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) {
    child[name].setEncoding("utf8").on("data", (text) => {
      child.said[name] += text;
    });
  }
  return child;
}

/** Whether there was anything to end. */
function end({ pid, exitCode, signalCode }) {
  if (pid === undefined || exitCode !== null || signalCode !== null) return false;
  process.kill(-pid, "SIGKILL");
  return true;
}

const words = ({ said }) => said.stdout + said.stderr;

/** Nobody else is told what runs here, nor asked for news. */
const QUIET = {
  CI: "true",
  DENO_NO_UPDATE_CHECK: "1",
  DO_NOT_TRACK: "1",
  NEXT_TELEMETRY_DISABLED: "1",
  NO_COLOR: "1",
  FORCE_COLOR: undefined,
  // Vite sets it in our own process.
  NODE_ENV: undefined,
  NODE_OPTIONS: undefined,
  NODE_TEST_CONTEXT: undefined,
};
