// Runs JavaScript and TypeScript tests by Node's own runner.

import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { bundleWith } from "./package.mjs";
import { at, jsPackage } from "./paths.mjs";
import { run } from "./run.mjs";

/** Tests beside the package's sources: bundled first, since Node 20 reads no TypeScript and knows none of our aliases. */
export function runPackageSourceTests() {
  return runBundled(testsIn(folder), "target/js-test");
}

/** Those of them that use the default entry, with the one without WebAssembly in its place. */
export function runPackageSourceTestsWithoutWasm() {
  const entry = '"../src/index.ts"';
  const sources = testsIn(folder).filter((test) => readFileSync(test, "utf8").includes(entry));
  return runBundled(sources, "target/js-test-without-wasm", {
    plugins: [withoutWasm],
    alias: { "#wasm-script": join(folder, "watched-script.mjs") },
  });
}

/** Plays both engines side by side for so long, from a seed that no run before had. */
export function compareEngines(seconds) {
  const env = {
    TIDEWIRE_FUZZ_SECONDS: String(seconds),
    TIDEWIRE_FUZZ_SEED: String(Math.floor(Math.random() * 2 ** 31)),
  };
  return runBundled([join(folder, "engines.test.mjs")], "target/js-test-engines", {}, env);
}

async function runBundled(sources, output, options = {}, env = {}) {
  const outdir = at(output);
  rmSync(outdir, { recursive: true, force: true });
  await bundleWith({
    entryPoints: sources,
    outdir,
    outbase: jsPackage,
    outExtension: { ".js": ".mjs" },
    platform: "node",
    packages: "external",
    sourcemap: "inline",
    ...options,
  });
  await runTests(testsIn(outdir), env);
}

/** Tests in a folder, as they are. */
export function runTestsIn(folder, env) {
  return runTests(testsIn(folder), env);
}

/** Test files, by this Node or another. */
export function runTests(files, env, node = process.execPath) {
  const options = [
    "--enable-source-maps",
    "--test",
    "--test-concurrency=1",
    "--test-reporter=spec",
  ];
  return run(node, [...options, ...files], { env });
}

function testsIn(folder) {
  const names = existsSync(folder) ? readdirSync(folder, { recursive: true }) : [];
  const tests = names.filter((name) => /\.test\.(ts|mjs|js)$/.test(name));
  if (tests.length === 0) throw new Error(`${relative(at("."), folder)} holds no tests`);
  return tests.map((name) => join(folder, name)).sort();
}

const folder = resolve(jsPackage, "test");
const withoutWasm = {
  name: "without-wasm",
  setup(build) {
    const path = resolve(jsPackage, "src/js.ts");
    build.onResolve({ filter: /\/src\/index\.ts$/ }, () => ({ path }));
  },
};
