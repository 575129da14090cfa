// What rows stand on: a hub, a Chromium, and trials of the program.

import assert from "node:assert/strict";
import { createClient } from "@tidewire/client";
import { WebSocket } from "ws";
import { Hub } from "../../browser/support/hub.mjs";
import { CuttableLink } from "../../browser/support/link.mjs";
import { Browser } from "./browser.mjs";

export class Ground {
  #hub;
  #trials = 0;
  /** For pages of whoever brings no browser of their own. */
  chromium;

  static async start() {
    const ground = new Ground();
    ground.#hub = await Hub.start();
    ground.chromium = await Browser.start("chrome", process.env.TIDEWIRE_CHROMIUM);
    return ground;
  }

  async stop() {
    await this.chromium?.close();
    await this.#hub.stop("SIGKILL");
  }

  /** Where the hub is, for whoever is not cut off. */
  get url() {
    return this.#hub.url;
  }

  /**
   * Lets `run({ url, name })` run the program somewhere, over a link of its own that is cut when the program asks;
   * throws unless it gives what the program must see.
   */
  async trial(run) {
    const link = await CuttableLink.start(this.#hub.port);
    const observer = createClient(this.#hub.url, { WebSocket });
    const name = `runtimes.${++this.#trials}`;
    const topic = observer.topic(name);
    const watching = topic.subscribe(async ({ data }) => {
      if (data !== "cut") return;
      link.cut();
      await topic.publish({ missed: true });
      link.restore();
    });
    try {
      await watching.ready;
      assert.deepEqual(await run({ url: link.url, name }), expected);
    } finally {
      observer.close();
      await link.stop();
    }
  }

  /** Has a page run it, which must complain of nothing. */
  async page(url, browser = this.chromium) {
    await this.trial((address) =>
      browser.result(`${url}#${encodeURIComponent(JSON.stringify(address))}`),
    );
    assert.deepEqual(browser.takeErrors(), []);
  }
}

const expected = {
  outcome: "live",
  data: [{ n: 1 }, "grüße", { bytes: [0, 255] }, "cut", { missed: true }, "kept"],
  states: ["online", "offline", "online", "closed"],
  state: "closed",
};
