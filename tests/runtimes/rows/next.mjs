// Next, built and served: a page rendered on the server that goes on in the browser, and routes on Node and on edge.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { application } from "../support/application.mjs";
import { script } from "../support/binaries.mjs";
import { output, server } from "../support/processes.mjs";

const cli = script("next/dist/bin/next");
const cwd = join(application, "next");

export const next = {
  name: "Next",
  proves: "server rendering, client component, routes on Node and on edge",
  run: async (ground) => {
    await output(process.execPath, [cli, "build"], { cwd, seconds: 180 });
    const { found, stop } = await server(
      process.execPath,
      [cli, "start", "--hostname", "127.0.0.1", "--port", "0"],
      { cwd, ready: /Local:\s+(http:\S+)/ },
    );
    try {
      const [, url] = found;
      const page = await answer(url);
      assert.match(await page.text(), /state: (<!-- -->)?idle/);
      for (const route of ["node", "edge"]) {
        await ground.trial(async (address) => {
          const body = JSON.stringify(address);
          const response = await answer(`${url}/${route}`, { method: "POST", body });
          return response.json();
        });
      }
      await ground.page(url);
    } finally {
      await stop();
    }
    const { version } = JSON.parse(readFileSync(script("next/package.json"), "utf8"));
    return { version };
  },
};

async function answer(url, options) {
  const response = await fetch(url, {
    ...options,
    signal: AbortSignal.timeout(SECONDS_MAX * 1000),
  });
  if (!response.ok) throw new Error(`${url} answers ${response.status}: ${await response.text()}`);
  return response;
}

const SECONDS_MAX = 30;
