// Who wants to hear of what.

import type { Off } from "./types.js";

export class Emitter<Events> {
  readonly #handlers = new Map<keyof Events, Set<(value: never) => void>>();

  on<E extends keyof Events>(event: E, handler: (value: Events[E]) => void): Off {
    const handlers = this.#handlers.get(event) ?? new Set();
    this.#handlers.set(event, handlers.add(handler));
    return () => handlers.delete(handler);
  }

  /** Tells all; whether there was anyone. What a handler throws goes to the console, and harms nobody. */
  emit<E extends keyof Events>(event: E, value: Events[E]): boolean {
    const handlers = [...(this.#handlers.get(event) ?? [])] as ((value: Events[E]) => void)[];
    for (const handler of handlers) {
      try {
        handler(value);
      } catch (error) {
        console.error(error);
      }
    }
    return handlers.length > 0;
  }
}
