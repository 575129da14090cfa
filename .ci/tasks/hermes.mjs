// The entry without WebAssembly in Hermes, the engine of React Native: today's compiler takes the package as it is, and
// the newest virtual machine that npm has for Linux plays the same lives as WebAssembly does here.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { bundleWith } from "./package.mjs";
import { at, jsPackage } from "./paths.mjs";
import { prepareNpmTool } from "./prepare.mjs";
import { CommandFailed, read } from "./run.mjs";

export async function testHermes() {
  if (process.platform !== "linux" || process.arch !== "x64") {
    console.log("Hermes is published for Linux on x86-64 alone: not tested here");
    return;
  }
  await compile();
  await play();
}

async function compile() {
  const hermesc = prepareNpmTool(COMPILER);
  const bundle = resolve(out, "client.js");
  const entryPoints = [resolve(jsPackage, "dist/js.js")];
  // It knows no modules; Metro makes functions of them.
  await bundleWith({ entryPoints, outfile: bundle, format: "iife", globalName: "tidewire" });
  const { stderr } = succeed(hermesc, ["-O", "-emit-binary", "-out", `${bundle}.hbc`, bundle]);
  const found = [...stderr.matchAll(/the variable "(\w+)" was not declared/g)];
  const asked = [...new Set(found.map(([, name]) => name))].sort().join(" ");
  if (asked !== GLOBALS) {
    throw new Error(`the package asks for ${asked}; wasm-client/js/README.md and GLOBALS differ`);
  }
}

/** Prints the last digest of each life, there and here. */
async function play() {
  const hermes = prepareNpmTool(MACHINE);
  const [there, here] = ["script", "wasm"].map((name) => resolve(out, `${name}.js`));
  const entry = (name) => [resolve(jsPackage, `test/engines/in-${name}.mjs`)];
  // What the machine takes, but for whole numbers of any size, which it has.
  const old = { format: "iife", target: "es2016", supported: { bigint: true } };
  await bundleWith({ entryPoints: entry("script"), outfile: there, ...old });
  await bundleWith({ entryPoints: entry("wasm"), outfile: here, platform: "node" });
  const [found, expected] = [
    succeed(hermes, ["-w", there]).stdout,
    succeed(process.execPath, ["--input-type=module", "-e", readFileSync(here, "utf8")]).stdout,
  ];
  if (found !== expected) throw new Error(`Hermes played ${found}, WebAssembly ${expected}`);
  console.log(`hermes: ${found.split("\n").length - 1} lives as in WebAssembly`);
}

function succeed(program, args) {
  const result = read(program, args);
  if (!result.ok) throw new CommandFailed(program, [], `${result.stdout}\n${result.stderr}`);
  return result;
}

const out = at("target/hermes");

const COMPILER = {
  name: "hermes-compiler",
  version: "260318099.0.8",
  integrity:
    "sha512-gRG9IqjGkWs6QRdIUurtRUbB3M+RboPRcYtsu03EOSypzQZwusYoZK7F2YdAXPowNUU3Ur3xRlvdjA1tukRbQg==",
  path: "hermesc/linux64-bin/hermesc",
};

const MACHINE = {
  name: "hermes-engine-cli",
  version: "0.12.0",
  integrity:
    "sha512-72a5yvwSC2qWtxJ80nlcoCCfNTkpYI8VVAfOro4FL9O105NM8Vpigz/A5Nq1rECKdP7M1N81HHiYL6jU5N1gYw==",
  path: "linux64-bin/hermes",
};

/** Beyond the language; `wasm-client/js/README.md` says which of them React Native has to be given. */
const GLOBALS =
  "AbortController AbortSignal FinalizationRegistry Promise TextDecoder URL WeakRef clearInterval clearTimeout console crypto " +
  "fetch performance queueMicrotask setInterval setTimeout";
