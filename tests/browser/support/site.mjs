// A web server for a page of the tests, and modules that it may import.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname } from "node:path";

export class Site {
  #server;

  /**
   * Serves a page at `/`, an empty one if none is given, and modules by their paths, `{ "/name.js": FILE }`, all with
   * the same further headers.
   */
  static async start(modules, page, headers = {}) {
    const site = new Site();
    site.#server = createServer((request, response) => {
      const { pathname } = new URL(request.url, "http://site");
      const file = pathname === "/" ? page : modules[pathname];
      response.statusCode = file || pathname === "/" ? 200 : 404;
      response.setHeaders(new Map(Object.entries(headers)));
      response.setHeader("content-type", TYPES[extname(file ?? "empty.html")]);
      response.end(file ? readFileSync(file) : EMPTY);
    });
    site.#server.listen(0, "127.0.0.1");
    await once(site.#server, "listening");
    return site;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  async stop() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

// A browser asks for an icon unless it is told that there is none.
const EMPTY = '<!doctype html><title>Numbers</title><link rel="icon" href="data:,">';

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
