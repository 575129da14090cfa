// The page that shows what a hub's HTTP API is, by its own description: a viewer that npm has, and nothing from elsewhere.

import { copyFileSync, mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { at } from "./paths.mjs";
import { prepareNpmTool } from "./prepare.mjs";
import { stepIfChanged } from "./steps.mjs";

export async function buildReference() {
  const page = at("web/reference/index.html");
  const out = at("web/reference/dist");
  const outputs = ["index.html", ...Object.keys(FILES)].map((file) => resolve(out, file));
  const facts = [VIEWER.version];
  await stepIfChanged("build the page of the HTTP API", { inputs: [page], facts, outputs }, () => {
    mkdirSync(out, { recursive: true });
    copyFileSync(page, resolve(out, "index.html"));
    for (const [file, path] of Object.entries(FILES)) {
      copyFileSync(prepareNpmTool({ ...VIEWER, path }), resolve(out, file));
    }
  });
}

/** What is served, by what it is in the package: the viewer, its licence, and those of what it is made of. */
const FILES = {
  "rapidoc-min.js": "dist/rapidoc-min.js",
  "rapidoc-min.js.LICENSE.txt": "dist/rapidoc-min.js.LICENSE.txt",
  "rapidoc.LICENSE.txt": "LICENSE.txt",
};
const VIEWER = {
  name: "rapidoc",
  version: "9.3.8",
  integrity:
    "sha512-eCYEbr1Xr8OJZvVCw8SXl9zBCRoLJbhNGuG5IZTHq/RWAOq/O4MafUCuFEyZHsrhLrlUcGZMa64pyhpib8fQKQ==",
};
