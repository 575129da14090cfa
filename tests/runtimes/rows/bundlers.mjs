// Bundlers as people use them: a page, a page with a worker and one with the engine apart, built and opened.

import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import resolveFromPackages from "@rollup/plugin-node-resolve";
import * as esbuild from "esbuild";
import * as rollup from "rollup";
import * as vite from "vite";
import webpack from "webpack";
import { application, serve } from "../support/application.mjs";
import { gzipBytes } from "../support/size.mjs";

const PAGES = ["page", "worker-page", "slim-page"];
const proves = "page, worker, `/slim`";
const built = (name) => join(application, "built", name);
const source = (name) => join(application, name);

export const bundlers = [
  {
    name: "Vite, development server",
    proves,
    run: async (ground) => {
      const server = await vite.createServer({
        ...VITE,
        cacheDir: built("vite-cache"),
        server: { host: "127.0.0.1", port: 0, strictPort: false },
      });
      try {
        await server.listen();
        const { port } = server.httpServer.address();
        for (const page of PAGES) await ground.page(`http://127.0.0.1:${port}/${page}.html`);
      } finally {
        await server.close();
      }
      return { version: vite.version };
    },
  },
  {
    name: "Vite, build",
    proves,
    run: async (ground) => {
      const outDir = built("vite");
      const input = PAGES.map((page) => source(`${page}.html`));
      await vite.build({ ...VITE, build: { outDir, rollupOptions: { input } } });
      await openPages(ground, outDir);
      return { version: vite.version, bytes: pageBytes(outDir) };
    },
  },
  {
    name: "webpack",
    proves,
    run: async (ground) => {
      const path = built("webpack");
      const entry = {
        page: "./page.js",
        "worker-page": "./worker-page.js",
        "slim-page": "./slim-webpack.js",
      };
      await pack({ entry, output: { path, filename: "[name].js" } });
      await openPages(ground, path, PAGES);
      return { version: webpack.version, bytes: pageBytes(path) };
    },
  },
  {
    name: "esbuild",
    proves,
    run: async (ground) => {
      const outdir = built("esbuild");
      await esbuild.build({
        absWorkingDir: application,
        bundle: true,
        minify: true,
        format: "esm",
        outdir,
        loader: { ".wasm": "file" },
        entryPoints: {
          page: "page.js",
          "slim-page": "slim-esbuild.js",
          worker: "worker.js",
          "worker-page": "worker-page.js",
        },
      });
      await openPages(ground, outdir, PAGES);
      return { version: esbuild.version, bytes: pageBytes(outdir) };
    },
  },
  {
    name: "rollup",
    proves: "page, worker",
    run: async (ground) => {
      const dir = built("rollup");
      for (const name of ["page", "worker", "worker-page"]) {
        const bundle = await rollup.rollup({
          input: source(`${name}.js`),
          plugins: [resolveFromPackages({ browser: true })],
        });
        await bundle.write({ dir, compact: true });
        await bundle.close();
      }
      await openPages(ground, dir, ["page", "worker-page"]);
      return { version: rollup.VERSION, bytes: pageBytes(dir) };
    },
  },
];

async function pack(options) {
  const stats = await new Promise((done, fail) => {
    webpack({ context: application, mode: "production", ...options }, (error, stats) =>
      error ? fail(error) : done(stats),
    );
  });
  if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString());
}

/** Opens what was built, with pages put beside it where the bundler makes none. */
async function openPages(ground, folder, pages = []) {
  for (const page of pages) copyFileSync(source(`${page}.html`), join(folder, `${page}.html`));
  const site = await serve(folder);
  try {
    for (const page of pages.length > 0 ? pages : PAGES) {
      await ground.page(`${site.url}/${page}.html`);
    }
  } finally {
    await site.close();
  }
}

/** What `page.html` loads: the package, and the program that tries it. */
function pageBytes(folder) {
  const html = readFileSync(join(folder, "page.html"), "utf8");
  const scripts = [...html.matchAll(/(?:src|href)="\.?\/?([^"]+\.js)"/g)];
  return gzipBytes(...scripts.map(([, path]) => join(folder, path)));
}

const VITE = { configFile: false, root: application, base: "./", logLevel: "warn" };
