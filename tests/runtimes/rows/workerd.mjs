// Cloudflare's runtime, with a bundle as its own tools make it.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { application } from "../support/application.mjs";
import { script } from "../support/binaries.mjs";
import { gzipBytes } from "../support/size.mjs";

export const workerd = {
  name: "workerd",
  proves: "requests, two at once, by miniflare",
  run: async (ground) => {
    const folder = join(application, "built/workerd");
    await build({
      absWorkingDir: application,
      entryPoints: ["workerd.js"],
      bundle: true,
      minify: true,
      format: "esm",
      conditions: ["workerd", "worker", "browser"],
      loader: { ".wasm": "copy" },
      outdir: folder,
    });
    const files = readdirSync(folder).sort().reverse();
    const modules = files.map((name) => ({
      type: name.endsWith(".wasm") ? "CompiledWasm" : "ESModule",
      path: join(folder, name),
    }));
    const miniflare = new Miniflare({
      compatibilityDate: "2026-07-01",
      modulesRoot: folder,
      modules,
    });
    try {
      await ground.trial((address) => request(miniflare, "program", address));
      // What one request opened no other may touch.
      const address = { url: ground.url, name: "workerd.meeting" };
      const both = [1, 2].map(() => request(miniflare, "meeting", address));
      assert.deepEqual(await Promise.all(both), ["closed", "closed"]);
    } finally {
      await miniflare.dispose();
    }
    const { version } = JSON.parse(readFileSync(script("workerd/package.json"), "utf8"));
    return { version, bytes: gzipBytes(...modules.map(({ path }) => path)) };
  },
};

async function request(miniflare, path, address) {
  const options = {
    method: "POST",
    body: JSON.stringify(address),
    signal: AbortSignal.timeout(SECONDS_MAX * 1000),
  };
  const response = await miniflare.dispatchFetch(`http://worker/${path}`, options);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

const SECONDS_MAX = 30;
