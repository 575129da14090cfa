// Messages as an async iterator: the listener's handler that is done when the next one is asked for.

import type { TidewireError } from "./errors.js";
import type { Consumer, Item, Listener } from "./listener.js";
import { dispose, inspected } from "./symbols.js";
import type { Messages, Ready } from "./types.js";

type Step = IteratorResult<Item, undefined>;

export class Iteration implements Messages<unknown>, Consumer {
  readonly #listener: Listener;
  readonly #stop: () => void;
  /** Those who ask and wait, or an item that does: never both. */
  readonly #asking: { resolve(step: Step): void; reject(error: unknown): void }[] = [];
  #item: Item | undefined;
  #release: (() => void) | undefined;
  #refused: TidewireError | undefined;

  /** `open` begins to listen; it gives the listener, and how to leave. */
  constructor(open: (consumer: Consumer) => [Listener, () => void]) {
    [this.#listener, this.#stop] = open(this);
  }

  get ready(): Promise<Ready> {
    return this.#listener.ready;
  }

  get caughtUp(): Promise<void> {
    return this.#listener.caughtUp;
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
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [dispose](): void {
    this.#stop();
  }

  [inspected](): object {
    const { name, state, lag } = this.#listener;
    return { messages: name, state, lag };
  }

  /** @internal */
  consume(item: Item): unknown {
    const asking = this.#asking.shift();
    if (asking) asking.resolve({ done: false, value: item });
    else this.#item = item;
    return new Promise<void>((resolve) => {
      this.#release = resolve;
    });
  }

  /** @internal */
  over(refused?: TidewireError): boolean {
    if (!refused) this.#item = undefined;
    this.#refused = refused;
    this.#release?.();
    this.#finish();
    return true;
  }

  /** Tells the first who asks of the refusal, and everyone else of the end. */
  #finish(): void {
    for (const { resolve, reject } of this.#asking.splice(0)) {
      if (this.#refused) reject(this.#refused);
      else resolve({ done: true, value: undefined });
      this.#refused = undefined;
    }
  }
}
