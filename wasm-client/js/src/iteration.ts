// Messages as an async iterator: the listener's handler that is done when the next one is asked for.

import { dispose } from "./dispose.js";
import type { TidewireError } from "./errors.js";
import type { Item, Listener } from "./listener.js";
import type { Messages, Ready } from "./types.js";

type Step = IteratorResult<Item, undefined>;

export class Iteration implements Messages<unknown> {
  readonly #listener: Listener;
  readonly #stop: () => void;
  /** Consumers that wait, or items that do: never both. */
  readonly #asking: { resolve(step: Step): void; reject(error: unknown): void }[] = [];
  #item: Item | undefined;
  #release: (() => void) | undefined;
  #error: TidewireError | undefined;

  /** `open` begins to listen; it gives the listener, and how to leave. */
  constructor(
    open: (
      consume: (item: Item) => unknown,
      refused: (error: TidewireError) => void,
    ) => [Listener, () => void],
  ) {
    [this.#listener, this.#stop] = open(
      (item) => this.#take(item),
      (error) => this.#refused(error),
    );
  }

  get ready(): Promise<Ready> {
    return this.#listener.ready;
  }

  next(): Promise<Step> {
    this.#release?.();
    const item = this.#item;
    this.#item = undefined;
    if (item) return Promise.resolve({ done: false, value: item });
    return new Promise((resolve, reject) => {
      this.#asking.push({ resolve, reject });
      if (this.#listener.ended) this.#finish();
    });
  }

  return(): Promise<Step> {
    this.#stop();
    this.#finish();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [dispose](): void {
    this.return();
  }

  #take(item: Item): unknown {
    return new Promise<void>((resolve) => {
      this.#release = resolve;
      const asking = this.#asking.shift();
      if (asking) asking.resolve({ done: false, value: item });
      else this.#item = item;
    });
  }

  #refused(error: TidewireError): void {
    this.#error = error;
    this.#finish();
  }

  /** Tells the first who asks of the refusal, and everyone else of the end. */
  #finish(): void {
    this.#release?.();
    for (const { resolve, reject } of this.#asking.splice(0)) {
      if (this.#error) reject(this.#error);
      else resolve({ done: true, value: undefined });
      this.#error = undefined;
    }
  }
}
