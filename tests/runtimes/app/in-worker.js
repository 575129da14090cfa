import { address } from "./address.js";

/** What the program saw that a worker runs. */
export const inWorker = (worker) =>
  new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(address());
  });
