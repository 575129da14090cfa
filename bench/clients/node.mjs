// Measures in Node: each measurement in a process of its own.

import { resolve } from "node:path";
import { read } from "../../.ci/tasks/run.mjs";

export class NodeRuntime {
  name = `Node ${process.versions.node}`;
  #folder;

  /** `folder` is where libraries, bundles and recordings are. */
  constructor(folder) {
    this.#folder = folder;
  }

  async measure({ file, task, milliseconds }) {
    const args = [resolve(this.#folder, "run/node.js"), file, task, String(milliseconds)];
    const { ok, stdout, stderr } = read(process.execPath, args, { cwd: this.#folder });
    if (!ok) throw new Error(stderr);
    return JSON.parse(stdout);
  }

  async end() {}
}
