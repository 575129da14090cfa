// Who wants to hear of what.

import type { Off } from "./types.js";

export class Emitter<Events> {
  /** Each in a box of its own: a handler that is put on twice is taken off once. */
  readonly #handlers = new Map<keyof Events, Set<{ call: (value: never) => unknown }>>();

  on<E extends keyof Events>(event: E, call: (value: Events[E]) => unknown): Off {
    const handlers = this.#handlers.get(event) ?? new Set();
    const box = { call };
    this.#handlers.set(event, handlers.add(box));
    return () => void handlers.delete(box);
  }

  /**
   * Tells all who are still there. Gives what to wait for, or nothing if there was nobody. What a handler throws,
   * now or later, goes to `failed`, and harms nobody.
   */
  emit<E extends keyof Events>(
    event: E,
    value: Events[E],
    failed: (cause: unknown) => void = console.error,
  ): Promise<unknown>[] | undefined {
    const handlers = this.#handlers.get(event);
    if (!handlers?.size) return undefined;
    const waits: Promise<unknown>[] = [];
    for (const box of [...handlers]) {
      if (!handlers.has(box)) continue;
      const wait = guard(() => (box.call as (value: Events[E]) => unknown)(value), failed);
      if (wait) waits.push(wait);
    }
    return waits;
  }

  /** Takes all off. */
  clear(): void {
    for (const handlers of this.#handlers.values()) handlers.clear();
  }
}

/** Calls a handler of the application; a promise, which never rejects, if it takes its time. */
export function guard(
  call: () => unknown,
  failed: (cause: unknown) => void,
): Promise<unknown> | undefined {
  try {
    const result = call();
    if (typeof (result as PromiseLike<unknown> | undefined)?.then !== "function") return undefined;
    return Promise.resolve(result).catch(failed);
  } catch (cause) {
    failed(cause);
    return undefined;
  }
}
