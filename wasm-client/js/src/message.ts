// A received message: spans of the buffer it came in, turned into values when asked for.

import { TidewireError } from "./errors.js";
import type { Message } from "./types.js";

const contents = ["json", "text", "binary", "cbor"] as const;
export const utf8 = new TextDecoder();

export class ReceivedMessage implements Message {
  readonly type = "message";
  readonly content: Message["content"];
  readonly #bytes: Uint8Array;
  #data: unknown;
  #parsed = false;

  constructor(
    readonly topic: string,
    readonly epoch: string,
    readonly offset: number,
    readonly publishedAt: number,
    readonly sender: string | undefined,
    content: number,
    readonly maybeDuplicate: boolean,
    bytes: Uint8Array,
  ) {
    this.content = contents[content - 1] ?? "binary";
    this.#bytes = bytes;
  }

  get data(): unknown {
    if (!this.#parsed) {
      this.#data = this.#read();
      this.#parsed = true;
    }
    return this.#data;
  }

  view(): Uint8Array {
    return this.#bytes;
  }

  #read(): unknown {
    if (this.content === "binary" || this.content === "cbor") return this.#bytes.slice();
    const text = utf8.decode(this.#bytes);
    if (this.content === "text") return text;
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new TidewireError("bad_payload", `${this.topic} ${this.offset}`, false, cause);
    }
  }
}
