// `npm run runtimes`: the packed tarball in every runtime, bundler and test runner that we name; the table of what ran
// goes into the package's README.

import { fileURLToPath } from "node:url";
import { NotHere, node } from "../../tests/runtimes/support/binaries.mjs";
import { build } from "./build.mjs";
import { runTests } from "./js-tests.mjs";
import { pack } from "./pack.mjs";
import { at, hubBinary, jsPackage } from "./paths.mjs";
import { prepareChromium, prepareFirefox, prepareRuntimes } from "./prepare.mjs";

/** Tries what was packed last; needs the hub. */
export async function runtimes({ document }) {
  await prepareRuntimes();
  const program = toolsNode();
  if (!program) return;
  const env = {
    TIDEWIRE_BIN: hubBinary,
    TIDEWIRE_CHROMIUM: await prepareChromium(),
    TIDEWIRE_FIREFOX: await prepareFirefox(),
    ...(document && { TIDEWIRE_RUNTIMES_DOCUMENT: document }),
  };
  await runTests([at("tests/runtimes/matrix.test.mjs")], env, program);
}

/** Most bundlers and test runners need a newer Node than the package does. */
function toolsNode() {
  try {
    return node(22);
  } catch (error) {
    if (!(error instanceof NotHere)) throw error;
    console.log(`NOT TESTED: the packed tarball: ${error.message}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await build();
  pack();
  await runtimes({ document: `${jsPackage}/README.md` });
}
