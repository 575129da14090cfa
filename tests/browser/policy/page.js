// Both entries, by their names.

import { createClient } from "/index.js";
import { createClient as createWithoutWasm } from "/js.js";
import { roundTrip } from "/round-trip.js";

globalThis.withoutWasm = (url) => roundTrip(createWithoutWasm, url);

/** What the default entry says of the end that it comes to. */
globalThis.withWasm = (url) =>
  new Promise((done) => {
    const tide = createClient(url);
    tide.on("error", ({ code, message }) => done({ code, message, status: tide.status }));
    tide.connect();
  });
