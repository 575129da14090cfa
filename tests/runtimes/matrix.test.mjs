// The packed tarball, installed in an application, in every runtime, bundler and test runner that we name. With
// `TIDEWIRE_RUNTIMES_DOCUMENT` the table of what ran is written there; without it the README's must say the same.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { browsers } from "./rows/browsers.mjs";
import { bundlers } from "./rows/bundlers.mjs";
import { linters } from "./rows/linters.mjs";
import { next } from "./rows/next.mjs";
import { processes } from "./rows/processes.mjs";
import { testRunners } from "./rows/test-runners.mjs";
import { workerd } from "./rows/workerd.mjs";
import { application, install, repository } from "./support/application.mjs";
import { NotHere } from "./support/binaries.mjs";
import { claim, claimsOf, sizesOf, table, write } from "./support/document.mjs";
import { Ground } from "./support/ground.mjs";
import { output } from "./support/processes.mjs";

const rows = [...processes, workerd, ...browsers, ...bundlers, next, ...testRunners, ...linters];
const { TIDEWIRE_RUNTIMES_DOCUMENT: document } = process.env;

const ANEW = "`npm run runtimes` writes the table anew";

/** What each row waits for has a deadline of its own; this is for bundlers, which have none. */
const timeout = 200_000;

let ground;
const results = [];

before(
  async () => {
    await install();
    ground = await Ground.start();
  },
  { timeout },
);

after(() => ground?.stop(), { timeout });

for (const { name, proves, run } of rows) {
  test(name, { timeout }, async (t) => {
    try {
      results.push({ name, proves, ...(await run(ground)) });
    } catch (error) {
      // On a machine of another kind the table says so; where it is checked, everything has to run.
      if (!document || !(error instanceof NotHere)) throw error;
      results.push({ name, proves });
      t.skip(error.message);
    }
  });
}

test("where there is no WebAssembly the default entry names the one that needs none", async () => {
  const said = await output(process.execPath, ["blocked.js", ground.url], { cwd: application });
  const { code, message } = JSON.parse(said);
  assert.equal(code, "wasm_blocked");
  assert.match(message, /@tidewire\/client\/js needs no WebAssembly/);
});

test("names and texts are those of the sources", async () => {
  const said = await output(process.execPath, ["surface.js", ground.url], { cwd: application });
  assert.deepEqual(JSON.parse(said), {
    sent: true,
    page: ["messages", "more", "next", "previous"],
    message: [
      "content",
      "data",
      "epoch",
      "headers",
      "key",
      "maybeDuplicate",
      "offset",
      "publishedAt",
      "removed",
      "sender",
      "topic",
      "ttl",
      "type",
    ],
    data: [{ n: 2 }],
    client: ["client", "status", "outbox", "sendsDropped"],
    topic: "{ topic: 'surface.a' }",
    subscription: "{ subscription: 'surface.a', state: 'live', lag: 0 }",
    dropped: 0,
    name: '"a b": bad_name: give words joined by dots, no spaces, * and > alone, at most 255 bytes',
    option: "option form: give from or whenSlow or echo or signal",
    address: '"undefined": bad_address: give a hub\'s address, such as wss://hub.example.com',
    stored: "publish to surface.a: memory_only: this outbox is in memory; leave `until` out",
    closed: "history of surface.a: closed: create another client",
  });
});

test("what Node prints of an error that nobody caught can be read", () => {
  const program = 'import { createClient } from "@tidewire/client"; createClient("");';
  const args = ["--input-type=module", "-e", program];
  const { stderr } = spawnSync(process.execPath, args, { cwd: application, encoding: "utf8" });
  assert.match(stderr, /bad_address/);
  assert(Math.max(...stderr.split("\n").map((line) => line.length)) < 1_000, stderr);
});

test("the table of the package's README", () => {
  assert.equal(
    results.length,
    rows.length,
    "not everything ran: the table would say less than is true",
  );
  console.log(table(results));
  if (document) return write(document, results);
  const claims = results.map((result) => claim({ ...result, isTested: true }));
  const readme = join(repository, "wasm-client/js/README.md");
  assert.deepEqual(claimsOf(readme), claims, ANEW);
  const sizes = sizesOf(readme);
  for (const { name, bytes = 0 } of results) {
    const said = sizes.get(name) ?? 0;
    assert(
      Math.abs(said - bytes) <= bytes / 50,
      `${name} has ${bytes} bytes, not ${said}: ${ANEW}`,
    );
  }
});
