// A web server for a page of the tests: an empty page, and modules that it may import.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

export class Site {
  #server;

  /** Serves an empty page at `/`, and modules by their paths, `{ "/name.js": FILE }`. */
  static async start(modules) {
    const site = new Site();
    site.#server = createServer((request, response) => {
      const file = modules[request.url];
      response.statusCode = file || request.url === "/" ? 200 : 404;
      response.setHeader("content-type", file ? "text/javascript" : "text/html");
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
