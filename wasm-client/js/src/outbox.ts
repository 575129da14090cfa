// What was published and has no outcome yet. The engine knows numbers and lengths; payloads and promises are
// here, so that another engine can take over.

import { type ErrorCode, TidewireError } from "./errors.js";
import type { Published } from "./types.js";

export class Entry {
  /** The engine's number for it; 0 if the engine has not been told. */
  number = 0;
  /** Whether it may have reached the hub. */
  sent = false;
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
  readonly #byNumber = new Map<number, Entry>();
  #flushes: { upto: number; done: () => void }[] = [];
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

  byNumber(number: number): Entry | undefined {
    return this.#byNumber.get(number);
  }

  /** The engine has taken the entry in. */
  number(entry: Entry, number: number): void {
    entry.number = number;
    this.#byNumber.set(number, entry);
  }

  /** There is no engine any more. */
  forgetNumbers(): void {
    this.#byNumber.clear();
    for (const entry of this.#byId.values()) entry.number = 0;
  }

  /** The entry has its outcome. */
  remove(entry: Entry): void {
    this.#byNumber.delete(entry.number);
    if (this.#byId.delete(entry.id)) this.bytes -= entry.payload.length;
    const [oldest = Number.POSITIVE_INFINITY] = this.#byId.keys();
    this.#flushes = this.#flushes.filter(({ upto, done }) => oldest <= upto || done());
  }

  /** Resolves when all that is here now has its outcome. */
  flushed(): Promise<void> {
    return new Promise((done) => {
      if (this.count === 0) done();
      else this.#flushes.push({ upto: this.#lastId, done });
    });
  }
}
