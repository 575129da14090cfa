// The system's Chromium, kept from talking to anybody but us.

import { chromium } from "playwright-core";

export class Browser {
  #chromium;
  /** What pages said that they should not have: errors on the console, exceptions nobody caught. */
  errors = [];

  static async start() {
    const browser = new Browser();
    browser.#chromium = await chromium.launch({
      executablePath: process.env.TIDEWIRE_CHROMIUM ?? "/usr/bin/chromium",
      args: ARGS,
    });
    return browser;
  }

  get version() {
    return this.#chromium.version();
  }

  /** A page of a visitor of its own: nothing is shared with other pages but the hub. Runs `words` in it first. */
  async open(url, options = {}, words = () => {}) {
    const context = await this.#chromium.newContext(options);
    await context.addInitScript(words);
    const page = await context.newPage();
    page.on("pageerror", (error) => this.errors.push(String(error.stack)));
    page.on("console", (message) => {
      if (message.type() === "error") this.errors.push(message.text());
    });
    await page.goto(url);
    return page;
  }

  /** Visitors leave without a word, as when a laptop is shut. */
  async closePages() {
    await Promise.all(this.#chromium.contexts().map((context) => context.close()));
  }

  async close() {
    await this.#chromium.close();
  }
}

const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
