// `npm test`: everything that must hold before a change is merged. `npm test -- --only WORD` runs the sections whose
// name holds the word.

import { parseArgs } from "node:util";
import { autobahn } from "./autobahn.mjs";
import { build } from "./build.mjs";
import { checkNpmAdvisories, checkRustDependencies } from "./dependencies.mjs";
import { fuzz } from "./fuzz.mjs";
import { testHermes } from "./hermes.mjs";
import { hostile } from "./hostile.mjs";
import {
  runPackageSourceTests,
  runPackageSourceTestsWithoutWasm,
  runTestsIn,
} from "./js-tests.mjs";
import { pack } from "./pack.mjs";
import { checkSize } from "./package.mjs";
import { at, cargoTarget, hubBinary } from "./paths.mjs";
import {
  prepareBuild,
  prepareChromium,
  prepareHaproxy,
  prepareNginx,
  preparePebble,
} from "./prepare.mjs";
import { read, run } from "./run.mjs";
import { runtimes } from "./runtimes.mjs";
import { schemathesis } from "./schemathesis.mjs";
import { runSections } from "./sections.mjs";
import { torture } from "./torture.mjs";

const cargo = (...args) => run("cargo", args);
const npx = (...args) => run("npx", ["--no-install", ...args]);
const wasm = ["--target", "wasm32-unknown-unknown"];
/** Long enough to notice a decoder that breaks at once; `npm run fuzz` looks longer. */
const FUZZ_SECONDS = 5;
/** Of each of the hub's two addresses. */
const SCHEMATHESIS_SECONDS = 20;
const hub = { TIDEWIRE_BIN: hubBinary };

const sections = [
  { name: "check: cargo fmt", run: () => cargo("fmt", "--all", "--check") },
  {
    name: "check: cargo fmt of fuzz targets",
    run: () => cargo("fmt", "--manifest-path", "tests/fuzz/Cargo.toml", "--check"),
  },
  { name: "check: biome", run: () => npx("biome", "check", "--error-on-warnings") },
  {
    name: "check: clippy",
    run: () => cargo("clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"),
  },
  {
    // First as the npm package has it, without the standard library; then as a front end in Rust does.
    name: "check: clippy for wasm",
    run: async () => {
      for (const crate of [
        ["-p", "tidewire-wasm"],
        ["-p", "tidewire-wasm", "-p", "tidewire-rust-page"],
      ]) {
        await cargo("clippy", "--locked", ...wasm, ...crate, "--", "-D", "warnings");
      }
    },
  },
  {
    // Nothing is published yet: whoever reads these pages works on the code behind them.
    name: "check: cargo doc",
    run: () =>
      run("cargo", ["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"], {
        env: { RUSTDOCFLAGS: "-D warnings -A rustdoc::private_intra_doc_links" },
      }),
  },
  { name: "check: cargo deny", run: checkRustDependencies },
  { name: "check: npm audit", run: checkNpmAdvisories },
  { name: "build", run: build },
  { name: "check: size of the npm package", needs: "build", run: checkSize },
  { name: "pack", needs: "build", run: pack },
  {
    name: "check: tsc of the package's tests",
    needs: "build",
    run: () => npx("tsc", "--noEmit", "-p", at("wasm-client/js/test")),
  },
  {
    name: "test: Rust",
    needs: "build",
    run: async () => {
      const env = {
        ...hub,
        TIDEWIRE_NGINX: await prepareNginx(),
        TIDEWIRE_HAPROXY: await prepareHaproxy(),
        TIDEWIRE_PEBBLE: await preparePebble(),
      };
      await run("cargo", ["test", "--locked", "--workspace"], { env });
    },
  },
  {
    name: "test: the HTTP API against its description",
    needs: "build",
    run: () => schemathesis({ seconds: SCHEMATHESIS_SECONDS }),
  },
  {
    name: "test: wake-ups under loom",
    run: runLoom,
  },
  { name: "test: Autobahn cases", run: autobahn },
  { name: "test: fuzz targets", run: () => fuzz({ seconds: FUZZ_SECONDS }) },
  {
    name: "test: simulation",
    run: () => run("npm", ["run", "--silent", "simulate", "--", "--ci"]),
  },
  {
    // A section of its own, as it measures.
    name: "test: hostile neighbour",
    needs: "build",
    run: () => hostile({}),
  },
  {
    name: "test: torture of the durable log",
    needs: "build",
    run: () => torture({}),
  },
  {
    name: "test: npm package sources",
    needs: "build",
    run: runPackageSourceTests,
  },
  {
    name: "test: npm package sources, without wasm",
    needs: "build",
    run: runPackageSourceTestsWithoutWasm,
  },
  { name: "test: Hermes", needs: "build", run: testHermes },
  {
    name: "test: JSON client",
    needs: "build",
    run: () => runTestsIn(at("tests/json-client"), hub),
  },
  {
    name: "test: packed tarball",
    needs: "pack",
    run: () => runtimes({}),
  },
  {
    name: "test: browser",
    needs: "pack",
    run: async () => runTestsIn(at("tests/browser"), await withChromium()),
  },
];

async function runLoom() {
  const args = ["test", "--locked", "--release", "-p", "tidewire-hub-core", "--lib", "loom"];
  // Its own target folder: the flag would otherwise make Cargo rebuild everything, twice a run.
  const env = { RUSTFLAGS: "--cfg loom", CARGO_TARGET_DIR: `${cargoTarget}/loom` };
  await run("cargo", args, { env });
  const { stdout } = read("cargo", [...args, "--", "--list"], { env });
  if (!/: test$/m.test(stdout)) throw new Error("no test of hub-core has loom in its name");
}

async function withChromium() {
  return { ...hub, TIDEWIRE_CHROMIUM: await prepareChromium() };
}

const { only } = parseArgs({ options: { only: { type: "string", default: "" } } }).values;
const chosen = sections.filter(({ name }) => name.includes(only));

await prepareBuild();
process.exitCode = chosen.length === 0 || (await runSections(chosen)) > 0 ? 1 : 0;
