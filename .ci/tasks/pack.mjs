// `npm run pack`: the tarball that would be published, at `target/npm/tidewire-client.tgz`.

import { mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "./build.mjs";
import { jsPackage, root, tarball } from "./paths.mjs";
import { read } from "./run.mjs";

/** Packs what the last build left. */
export function pack() {
  checkTypes();
  checkPaths();
  const folder = dirname(tarball);
  mkdirSync(folder, { recursive: true });
  const packed = read("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
    cwd: jsPackage,
  });
  if (!packed.ok) throw new Error(`npm pack failed: ${packed.stderr}`);
  const [{ filename, size, files }] = JSON.parse(packed.stdout);
  renameSync(join(folder, filename), tarball);
  console.log(`pack: ${tarball.slice(root.length + 1)}, ${size.toLocaleString("en")} bytes:`);
  for (const { path, size } of files) console.log(`pack:   ${path} ${size.toLocaleString("en")}`);
}

/** The aliases of our build mean nothing where the package is used. */
function checkTypes() {
  const dist = join(jsPackage, "dist");
  for (const name of readdirSync(dist, { recursive: true }).filter((name) =>
    name.endsWith(".d.ts"),
  )) {
    if (readFileSync(join(dist, name), "utf8").includes("#wasm")) {
      throw new Error(`dist/${name} mentions #wasm, which only our build can resolve`);
    }
  }
}

/** Where it was built is nobody's business, and would make every machine's package differ. */
function checkPaths() {
  const wasm = readFileSync(join(jsPackage, "dist/tidewire.wasm"));
  const leaked = [root, homedir()].find((path) => wasm.includes(path));
  if (leaked) throw new Error(`dist/tidewire.wasm mentions ${leaked}; see the remaps in wasm.mjs`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await build();
  pack();
}
