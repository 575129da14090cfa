// Makes the page in Rust, which shows the client for Rust front ends: `target/rust-page`, files for any web server.

import { copyFileSync, mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { at, cargoTarget, rustPageOut } from "./paths.mjs";
import { run } from "./run.mjs";
import { step, stepIfChanged } from "./steps.mjs";
import { helper, remaps, TARGET } from "./wasm.mjs";

export async function buildRustPage() {
  await step("compile the page in Rust", compile);
  await stepIfChanged(
    "make the page in Rust",
    {
      inputs: [compiled, html, at("wasm-client/build-helper"), at("Cargo.lock")],
      outputs: ["index.html", "tidewire_rust_page.js", "tidewire_rust_page_bg.wasm"].map((name) =>
        resolve(rustPageOut, name),
      ),
    },
    finish,
  );
}

function compile() {
  const args = ["build", "--locked", "--profile", "wasm", "--target", TARGET];
  return run("cargo", [...args, "-p", "tidewire-rust-page"], {
    // Its own target folder: it is compiled with other flags than the engine, and each would undo the other's work.
    env: { CARGO_ENCODED_RUSTFLAGS: remaps().join("\x1f"), CARGO_TARGET_DIR: cargoOut },
  });
}

async function finish() {
  mkdirSync(rustPageOut, { recursive: true });
  await helper("web", compiled, rustPageOut);
  copyFileSync(html, resolve(rustPageOut, "index.html"));
}

const html = at("web/rust-page/index.html");
const cargoOut = resolve(cargoTarget, "for-rust-page");
const compiled = resolve(cargoOut, TARGET, "wasm/tidewire_rust_page.wasm");
