// Measures in Chromium: each measurement in a page, and so a process, of its own.

import { resolve } from "node:path";
import { prepareChromium } from "../../.ci/tasks/prepare.mjs";
import { Browser } from "../../tests/browser/support/browser.mjs";
import { Site } from "../../tests/browser/support/site.mjs";

export class ChromiumRuntime {
  name;
  #browser;
  #site;

  static async start(folder, files) {
    process.env.TIDEWIRE_CHROMIUM = await prepareChromium();
    const runtime = new ChromiumRuntime();
    const modules = [...MODULES, ...files].map((path) => [`/${path}`, resolve(folder, path)]);
    runtime.#site = await Site.start(Object.fromEntries(modules));
    runtime.#browser = await Browser.start();
    runtime.name = `Chromium ${runtime.#browser.version}`;
    return runtime;
  }

  async measure({ library, file, task, milliseconds }) {
    const page = await this.#browser.open(this.#site.url);
    try {
      const session = await page.context().newCDPSession(page);
      await session.send("Performance.enable");
      const load = async ([recording, bundle, task]) => {
        globalThis.bench = await import("/run/page.js");
        await globalThis.bench.load(recording, bundle, task);
      };
      await page.evaluate(load, [`/${file}`, `/bundles/page/${library}.js`, task]);
      const run = (milliseconds) => globalThis.bench.run(milliseconds);
      await page.evaluate(run, milliseconds);
      const before = await cpuMs(session);
      const spent = await page.evaluate(run, milliseconds);
      return { ...spent, cpuMs: (await cpuMs(session)) - before };
    } finally {
      await page.context().close();
      const errors = this.#browser.errors.splice(0);
      if (errors.length) console.error(errors.join("\n"));
    }
  }

  async end() {
    await this.#browser.close();
    await this.#site.stop();
  }
}

/** What all threads of the page's process have used. */
async function cpuMs(session) {
  const { metrics } = await session.send("Performance.getMetrics");
  return metrics.find(({ name }) => name === "ProcessTime").value * 1000;
}

const MODULES = [
  "payload.js",
  "replay/peers.js",
  "replay/peers/centrifuge.js",
  "replay/peers/mqtt.js",
  "replay/peers/silent.js",
  "replay/peers/socket-io.js",
  "replay/peers/tidewire.js",
  "replay/recording.js",
  "replay/socket.js",
  "replay/task.js",
  "run/measure.js",
  "run/page.js",
];
