// Browsers, with no bundler between them and the package.

import { application, serve } from "../support/application.mjs";
import { NotHere } from "../support/binaries.mjs";
import { Browser } from "../support/browser.mjs";

const PAGES = ["bare-page.html", "bare-worker-page.html"];
const proves = "page, worker";

export const browsers = [
  { name: "Chromium", proves, run: (ground) => inBrowser(ground, ground.chromium) },
  {
    name: "Firefox",
    proves,
    run: async (ground) => {
      const { TIDEWIRE_FIREFOX: path } = process.env;
      if (!path) throw new NotHere("Firefox", "TIDEWIRE_FIREFOX does not name it");
      const firefox = await Browser.start("firefox", path);
      try {
        return await inBrowser(ground, firefox);
      } finally {
        await firefox.close();
      }
    },
  },
];

async function inBrowser(ground, browser) {
  const site = await serve(application);
  try {
    for (const page of PAGES) await ground.page(`${site.url}/${page}`, browser);
  } finally {
    await site.close();
  }
  return { version: await browser.version() };
}
