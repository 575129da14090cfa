// The promise that a publish gives. It knows whether anyone waits for it: a failure that nobody waits for is told in
// another way, and ends no process.

import { inspected } from "./symbols.js";
import type { Published, Publishing } from "./types.js";

export class Publication extends Promise<Published> implements Publishing {
  readonly id: number;
  readonly #resolve: (published: Published) => void;
  readonly #reject: (reason: unknown) => void;
  #awaited = false;

  constructor(id: number) {
    let settle!: [(published: Published) => void, (reason: unknown) => void];
    super((...both) => {
      settle = both;
    });
    [this.#resolve, this.#reject] = settle;
    this.id = id;
  }

  /** What comes of `then` is a promise like others. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // biome-ignore lint/suspicious/noThenProperty: it is a promise.
  override then<A = Published, B = never>(
    fulfilled?: ((published: Published) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#awaited = true;
    return super.then(fulfilled, rejected);
  }

  [inspected](): object {
    return { publish: this.id };
  }

  /** `end` is called once it has settled. */
  over(end: () => void): void {
    super.then(end, end);
  }

  succeed(published: Published): void {
    this.#resolve(published);
  }

  /** Fails; `alone` is called if nobody waits for it by the end of the turn. */
  fail(reason: unknown, alone: () => void): void {
    super.then(undefined, () => {});
    this.#reject(reason);
    // `await` calls `then` a step after it is met.
    Promise.resolve()
      .then()
      .then(() => this.#awaited || alone());
  }
}
