// The package's files stand in an order, and each imports only files below it.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";

const folder = resolve(process.cwd(), "wasm-client/js/src");

/** From the bottom up. */
const order = [
  "engine/tables.ts",
  "engine/faults.ts",
  "errors.ts",
  "token.ts",
  "contract.ts",
  "types.ts",
  "utf8.ts",
  "values.ts",
  "check.ts",
  "besides.ts",
  "symbols.ts",
  "emitter.ts",
  "deferred.ts",
  "engine/rows.ts",
  "engine/engine.ts",
  "message.ts",
  "publication.ts",
  "outbox.ts",
  "readings.ts",
  "link.ts",
  "page.ts",
  "host.ts",
  "sending.ts",
  "listener.ts",
  "question.ts",
  "iteration.ts",
  "session.ts",
  "topic.ts",
  "names.ts",
  "client.ts",
  "alone.ts",
  "load/once.ts",
  "load/inline.ts",
  "load/script.ts",
  "exports.ts",
  "index.ts",
  "slim.ts",
  "js.ts",
  "workerd.ts",
  "edge.ts",
];
const lines = 400;

/** The package's own files that a file imports or passes on. */
function importsOf(file) {
  const text = readFileSync(join(folder, file), "utf8");
  const paths = [...text.matchAll(/^(?:import|export|\}) [^;]*?"(\.[^"]*)\.js"/gm)];
  return paths.map(([, path]) => join(dirname(file), `${path}.ts`));
}

test("every file has its place, and imports only files below it", () => {
  const files = readdirSync(folder, { recursive: true })
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"));
  assert.deepEqual(files.sort(), [...order].sort());
  const wrong = order.flatMap((file, place) =>
    importsOf(file)
      .filter((path) => !(order.indexOf(path) < place && order.includes(path)))
      .map((path) => `${file} imports ${path}`),
  );
  assert.deepEqual(wrong, []);
  // The check has seen imports of all shapes.
  assert.ok(importsOf("client.ts").includes("session.ts"));
  assert.ok(importsOf("topic.ts").includes("types.ts"));
  assert.ok(importsOf("index.ts").includes("exports.ts"));
});

test("no file is long", () => {
  const long = order.filter((file) => {
    const text = readFileSync(join(folder, file), "utf8");
    return text.split("\n").length > lines;
  });
  assert.deepEqual(long, []);
});
