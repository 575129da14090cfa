// What was published and has no outcome yet. The engine knows numbers and lengths; payloads and promises are
// here, so that another engine can take over.

import type { Besides } from "./besides.js";
import type { TidewireError } from "./errors.js";
import type { Settling } from "./publication.js";

/** Whose entry it is. */
export interface Publisher {
  /** Its entries without an outcome. */
  unsettled: number;
  /** Tells of a failure that nobody waits for. */
  report(error: TidewireError): void;
}

/** Entries of which the hub takes all or none. */
export interface Batch {
  /** The number of the first. */
  readonly first: number;
  readonly count: number;
  /** Their bytes that an engine has yet to make room for; below zero once one has taken them in. */
  unplaced: number;
}

/** What is published, as it travels. */
export type Outgoing = readonly [
  topic: string,
  content: number,
  payload: Uint8Array,
  besides: Besides | undefined,
];

export class Entry {
  /** The seq under which it was sent; 0 as long as it was not. */
  seq = 0;
  /** The application wants it no more. */
  withdrawn = false;
  /** Bytes that it takes of the outbox, at most. */
  readonly size: number;

  constructor(
    readonly publisher: Publisher,
    readonly id: number,
    readonly topic: string,
    readonly content: number,
    readonly payload: Uint8Array,
    readonly besides: Besides | undefined,
    readonly promise: Settling,
    readonly batch: Batch | undefined,
  ) {
    this.size = payload.length + (besides?.[4] ?? 0);
  }

  /** What it is for, in an error. */
  get about(): string {
    return `publish to ${this.topic}`;
  }

  /** It has failed; `quiet` if that is not to be told to anyone but those who wait. */
  fail(error: TidewireError, quiet = false): void {
    this.promise.fail(error, () => quiet || this.publisher.report(error));
  }
}

interface Flush {
  readonly publisher: Publisher;
  readonly upto: number;
  left: number;
  release(): void;
}

export class Entries {
  bytes = 0;
  readonly #changed: () => void;
  readonly #byId = new Map<number, Entry>();
  #flushes: Flush[] = [];
  #lastId = 0;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get count(): number {
    return this.#byId.size;
  }

  /** In the order of publishing. */
  all(): Entry[] {
    return [...this.#byId.values()];
  }

  /** The number of the entry that comes next. */
  get following(): number {
    return this.#lastId + 1;
  }

  add(
    publisher: Publisher,
    topic: string,
    content: number,
    payload: Uint8Array,
    besides: Besides | undefined,
    promise: Settling,
    batch?: Batch,
  ): Entry {
    const id = ++this.#lastId;
    const entry = new Entry(publisher, id, topic, content, payload, besides, promise, batch);
    this.#byId.set(entry.id, entry);
    this.bytes += entry.size;
    if (batch) batch.unplaced += entry.size;
    publisher.unsettled++;
    this.#changed();
    return entry;
  }

  entryOf(id: number): Entry | undefined {
    return this.#byId.get(id);
  }

  /** The entry has its outcome. */
  remove({ publisher, id, size }: Entry): void {
    if (!this.#byId.delete(id)) return;
    this.bytes -= size;
    publisher.unsettled--;
    this.#settle(
      (flush) => flush.publisher === publisher && id <= flush.upto && --flush.left === 0,
    );
    this.#changed();
  }

  /** Resolves when all that is here now of a publisher has its outcome. */
  flushed(publisher: Publisher): Promise<void> {
    return new Promise((release) => {
      const left = publisher.unsettled;
      if (left === 0) release();
      else this.#flushes.push({ publisher, upto: this.#lastId, left, release });
    });
  }

  /** The publisher is gone, and waits for nothing any more. */
  release(gone: Publisher): void {
    this.#settle(({ publisher }) => publisher === gone);
  }

  #settle(isDone: (flush: Flush) => boolean): void {
    if (!this.#flushes.length) return;
    this.#flushes = this.#flushes.filter((flush) => !isDone(flush) || flush.release());
  }
}
