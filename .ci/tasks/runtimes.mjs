// `npm run runtimes`: the packed tarball in every runtime, bundler and test runner that we name; the table of what ran
// goes into the package's README.

import { fileURLToPath } from "node:url";
import { node } from "../../tests/runtimes/support/binaries.mjs";
import { build } from "./build.mjs";
import { runTests } from "./js-tests.mjs";
import { pack } from "./pack.mjs";
import { at, hubBinary, jsPackage } from "./paths.mjs";
import { prepareChromium, prepareFirefox, prepareRuntimes } from "./prepare.mjs";

/** Tries what was packed last; needs the hub. */
export async function runtimes({ document }) {
  await prepareRuntimes();
  const env = {
    TIDEWIRE_BIN: hubBinary,
    TIDEWIRE_CHROMIUM: await prepareChromium(),
    TIDEWIRE_FIREFOX: await prepareFirefox(),
    ...(document && { TIDEWIRE_RUNTIMES_DOCUMENT: document }),
  };
  // Most bundlers and test runners need a newer Node than the package does.
  await runTests([at("tests/runtimes/matrix.test.mjs")], env, node(22));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await build();
  pack();
  await runtimes({ document: `${jsPackage}/README.md` });
}
