// The promise that a publish gives. It knows whether anyone waits for it: a failure that nobody waits for is told in
// another way, and ends no process.

import type { TidewireError } from "./errors.js";
import { inspected } from "./symbols.js";
import type { Published } from "./types.js";

/** What hears of the outcome of one publish. */
export interface Settling {
  succeed(published: Published): void;
  /** Fails; `alone` is called if nobody waits for it by the end of the turn. */
  fail(reason: unknown, alone: () => void): void;
}

export class Publication<T = Published> extends Promise<T> {
  readonly id: number;
  readonly #resolve: (published: T) => void;
  readonly #reject: (reason: unknown) => void;
  #awaited = false;

  constructor(id: number) {
    let settle!: [(published: T) => void, (reason: unknown) => void];
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
  override then<A = T, B = never>(
    fulfilled?: ((published: T) => A | PromiseLike<A>) | null,
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

  succeed(published: T): void {
    this.#resolve(published);
  }

  fail(reason: unknown, alone: () => void): void {
    super.then(undefined, () => {});
    this.#reject(reason);
    // `await` calls `then` a step after it is met.
    Promise.resolve()
      .then()
      .then(() => this.#awaited || alone());
  }
}

/** One promise for all publishes of a batch. It rejects with what one of them met, not with what that meant for others. */
export function gather(id: number, count: number): [Publication<Published[]>, Settling[]] {
  const promise = new Publication<Published[]>(id);
  const published: Published[] = [];
  let failed: [TidewireError, () => void] | undefined;
  let left = count;
  const member = (_: unknown, index: number): Settling => {
    let waits = true;
    const end = () => {
      const isLast = waits && --left === 0;
      waits = false;
      if (isLast) failed ? promise.fail(...failed) : promise.succeed(published);
    };
    return {
      succeed(one) {
        published[index] = one;
        end();
      },
      fail(error, alone) {
        const isNews = !failed || failed[0].code === "batch_refused";
        if (waits && isNews) failed = [error as TidewireError, alone];
        end();
      },
    };
  };
  return [promise, Array.from({ length: count }, member)];
}
