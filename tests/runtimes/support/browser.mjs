// A real browser: Chromium or Firefox as the system has it, kept from talking to anybody but us.

import puppeteer from "puppeteer-core";

export class Browser {
  #browser;
  /** What pages said that they should not have. */
  #errors = [];

  /** `chrome` is driven by its own protocol, `firefox` by WebDriver BiDi. */
  static async start(browser, executablePath) {
    const started = new Browser();
    const options = {
      browser,
      executablePath,
      headless: true,
      args: browser === "chrome" ? CHROME_ARGS : [],
      extraPrefsFirefox: FIREFOX_PREFERENCES,
      timeout: SECONDS_MAX * 1000,
      protocolTimeout: SECONDS_MAX * 1000,
    };
    started.#browser = await puppeteer.launch(options).catch((cause) => {
      throw new Error(`${executablePath} does not start: ${cause.message}`, { cause });
    });
    return started;
  }

  async version() {
    const version = await this.#browser.version();
    return version.replace(/^.*\//, "");
  }

  /** What a page of a visitor of its own leaves in `result`. */
  async result(url) {
    const context = await this.#browser.createBrowserContext();
    const page = await context.newPage();
    page.on("pageerror", (error) => this.#errors.push(String(error.stack)));
    page.on("console", (message) => {
      if (message.type() === "error") this.#errors.push(message.text());
    });
    const timeout = SECONDS_MAX * 1000;
    try {
      await page.goto(url, { timeout });
      await page.waitForFunction(() => globalThis.result, { timeout });
      return await page.evaluate(() => globalThis.result);
    } catch (cause) {
      throw new Error(`${url}: ${cause.message} ${this.#errors.join("; ")}`, { cause });
    } finally {
      await context.close();
    }
  }

  /** What was said since this was last asked, but for what a browser says of each connection that is cut. */
  takeErrors() {
    return this.#errors.splice(0).filter((error) => !/WebSocket|can’t establish/.test(error));
  }

  async close() {
    await this.#browser?.close();
  }
}

const SECONDS_MAX = 30;
const CHROME_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const FIREFOX_PREFERENCES = {
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
};
