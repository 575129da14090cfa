// Records what the rows need, then measures: in each round every library once per row, so that what else the
// machine does meets all alike.

import { mkdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { read } from "../../.ci/tasks/run.mjs";
import { ChromiumRuntime } from "./chromium.mjs";
import { NodeRuntime } from "./node.mjs";

/**
 * Measures `rows` for so many rounds; the libraries, bundles and recordings are in `folder`, and `env` says where
 * the servers are. Gives `[{ runtime, row, library, rounds }]`, and what could not be measured and why.
 */
export async function measureClients({ folder, rows, rounds, env, milliseconds, say }) {
  const failures = [];
  const recorded = record({ folder, rows, env, say, failures });
  const bundles = [...new Set(recorded.map(({ library }) => `bundles/page/${library}.js`))];
  const files = [...bundles, ...new Set(recorded.map(({ file }) => file))];
  const runtimes = [new NodeRuntime(folder), await ChromiumRuntime.start(folder, files)];
  const results = runtimes.flatMap((runtime) =>
    recorded.map((one) => ({ ...one, runtime, rounds: [] })),
  );
  try {
    for (let round = 1; round <= rounds; round++) {
      for (const result of results) {
        const { runtime, row, library, file } = result;
        const where = `${runtime.name.split(" ")[0]}, ${row.name}: ${library}`;
        try {
          const spent = await runtime.measure({ library, file, task: row.task, milliseconds });
          result.rounds.push(spent);
          say(`round ${round}/${rounds}, ${where} ${told(spent)}`);
        } catch (error) {
          failures.push(`${where}: ${error.message}`);
          say(`round ${round}/${rounds}, ${where} failed: ${error.message}`);
        }
      }
    }
  } finally {
    for (const runtime of runtimes) await runtime.end();
  }
  return { results: results.map((one) => ({ ...one, runtime: one.runtime.name })), failures };
}

/** A recording for each row and library; rows that need the same share it. */
function record({ folder, rows, env, say, failures }) {
  mkdirSync(resolve(folder, "recordings"), { recursive: true });
  const done = new Map();
  return rows.flatMap((row) =>
    row.libraries.flatMap((library) => {
      const { kind, bytes, count, pace } = row;
      const file = `recordings/${library}-${kind}-${bytes}-${pace}.json`;
      if (!done.has(file)) {
        say(`record ${file}`);
        const wanted = JSON.stringify({ library, kind, bytes, count, pace });
        const { ok, stderr } = read(process.execPath, ["record/main.js", wanted, file], {
          cwd: folder,
          env,
        });
        done.set(file, ok && messagesPerFrame(resolve(folder, file)));
        if (!ok) failures.push(`${file} cannot be recorded: ${stderr}`);
        if (!ok) say(failures.at(-1));
      }
      const perFrame = done.get(file);
      return perFrame ? [{ row, library, file, perFrame }] : [];
    }),
  );
}

function messagesPerFrame(file) {
  const { count, frames } = JSON.parse(readFileSync(file, "utf8"));
  return count / frames.length;
}

function told({ messages, wallMs, cpuMs }) {
  const rate = Math.round(messages / wallMs);
  return `${rate} thousand/s, ${((cpuMs / messages) * 1_000).toFixed(2)} us`;
}
