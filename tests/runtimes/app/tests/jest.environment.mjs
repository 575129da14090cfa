// What jsdom does not imitate, and Node has.

import { TestEnvironment } from "jest-environment-jsdom";

export default class extends TestEnvironment {
  async setup() {
    await super.setup();
    Object.assign(this.global, { DecompressionStream, Response, TextDecoder, TextEncoder });
  }
}
