import { inWorker } from "./in-worker.js";

globalThis.result = inWorker(
  new Worker(new URL("./worker.js", import.meta.url), { type: "module" }),
);
