// A received message: a plain record, whose value is read when its turn has come, over the bytes it came in.

import { contents } from "./engine/tables.js";
import { TidewireError } from "./errors.js";
import { inspected } from "./symbols.js";
import type { Message, Position } from "./types.js";
import { fromUtf8 } from "./utf8.js";

export class ReceivedMessage implements Message {
  readonly type = "message";
  readonly content: Message["content"];
  /** A field like the others, so that copies of a message have it too. */
  data: unknown;
  readonly #bytes: Uint8Array;

  constructor(
    readonly topic: string,
    readonly epoch: string,
    readonly offset: number,
    readonly publishedAt: number,
    readonly sender: string | undefined,
    content: number,
    readonly maybeDuplicate: boolean,
    bytes: Uint8Array,
    readonly key: string | undefined,
    readonly headers: Readonly<Record<string, string>>,
    readonly ttl: number | undefined,
    readonly removed: boolean,
  ) {
    this.content = contents[content - 1] ?? "binary";
    this.#bytes = bytes;
  }

  get version(): Position {
    const { epoch, offset } = this;
    return { epoch, offset };
  }

  view(): Uint8Array {
    return this.#bytes;
  }

  [inspected](): object {
    return { ...this };
  }

  /** Makes `data` of the bytes. Throws if they are not what they say. */
  read(): void {
    const { content } = this;
    const bytes = this.#bytes;
    if (this.removed) return;
    if (content === "binary" || content === "cbor") {
      this.data = bytes.slice();
      return;
    }
    const text = fromUtf8(bytes);
    try {
      this.data = content === "text" ? text : JSON.parse(text);
    } catch (cause) {
      throw new TidewireError("bad_payload", `${this.topic} at ${this.offset}`, false, cause);
    }
  }
}
