// What was published and has no outcome yet. The engine knows numbers and lengths; payloads and promises are
// here, so that another engine can take over.

import { type ErrorCode, TidewireError } from "./errors.js";
import type { Published } from "./types.js";

export class Entry {
  /** The seq under which it was sent; 0 as long as it was not. */
  seq = 0;
  readonly outcome: Promise<Published>;
  resolve!: (published: Published) => void;
  reject!: (reason: unknown) => void;

  constructor(
    readonly id: number,
    readonly topic: string,
    readonly content: number,
    readonly payload: Uint8Array,
  ) {
    this.outcome = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  fail(code: ErrorCode, retryable = false): void {
    this.reject(new TidewireError(code, `publish to ${this.topic}`, retryable));
  }
}

export class Entries {
  bytes = 0;
  readonly #byId = new Map<number, Entry>();
  #flushes: { upto: number; left: number; done: () => void }[] = [];
  #lastId = 0;

  get count(): number {
    return this.#byId.size;
  }

  /** In the order of publishing. */
  all(): Entry[] {
    return [...this.#byId.values()];
  }

  add(topic: string, content: number, payload: Uint8Array): Entry {
    const entry = new Entry(++this.#lastId, topic, content, payload);
    this.#byId.set(entry.id, entry);
    this.bytes += payload.length;
    return entry;
  }

  find(id: number): Entry | undefined {
    return this.#byId.get(id);
  }

  /** The entry has its outcome. */
  remove({ id, payload }: Entry): void {
    if (!this.#byId.delete(id)) return;
    this.bytes -= payload.length;
    this.#flushes = this.#flushes.filter(
      (flush) => id > flush.upto || --flush.left > 0 || flush.done(),
    );
  }

  /** Resolves when all that is here now has its outcome. */
  flushed(): Promise<void> {
    return new Promise((done) => {
      if (this.count === 0) done();
      else this.#flushes.push({ upto: this.#lastId, left: this.count, done });
    });
  }
}
