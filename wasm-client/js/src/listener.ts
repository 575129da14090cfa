// One listener: its place, and what waits for its handler. The bound on what waits is the engine's, which is
// told of everything that is settled.

import { TidewireError } from "./errors.js";
import type { Gap, Message, Position, Ready, SubscribeOptions } from "./types.js";

/** What a listener is given, in order. */
export type Item = Message | Gap;

/** What a listener needs of its client. */
export interface Owner {
  settled(listener: Listener, bytes: number): void;
  report(error: TidewireError): void;
}

export class Listener {
  /** The engine's number for it; 0 if the engine has not been told. */
  number = 0;
  ended = false;
  /** Told to the engine with the next call. */
  settledMessages = 0;
  settledBytes = 0;
  readonly ready: Promise<Ready>;
  readonly #places = new Map<string, number>();
  readonly #waiting: Item[] = [];
  /** What the handler has, and has not settled. */
  #current: Item | undefined;
  /** Messages that an engine before this one gave, and that this one must not hear of. */
  #foreign = 0;
  #resolve!: (ready: Ready) => void;
  #reject!: (error: TidewireError) => void;

  constructor(
    readonly owner: Owner,
    readonly name: string,
    readonly pattern: boolean,
    readonly options: SubscribeOptions,
    readonly consume: (item: Item) => unknown,
    readonly refused: (error: TidewireError) => void,
  ) {
    this.ready = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever does not wait for it hears of a refusal by its event.
    this.ready.catch(() => {});
  }

  /** Where another engine goes on: what this listener was given last, in each log. */
  get places(): Position[] {
    return Array.from(this.#places, ([epoch, offset]) => ({ epoch, offset }));
  }

  /** The engine that gave what waits is gone. */
  orphan(): void {
    this.number = 0;
    this.settledMessages = this.settledBytes = 0;
    const unsettled = this.#current ? [this.#current, ...this.#waiting] : this.#waiting;
    this.#foreign = unsettled.filter(isMessage).length;
  }

  begin(ready: Ready): void {
    this.#places.clear();
    for (const { epoch, offset } of ready.positions) this.#places.set(epoch, offset);
    this.#resolve(ready);
    if (ready.gap) this.give(ready.gap);
  }

  end(error: TidewireError): void {
    this.ended = true;
    this.#waiting.length = 0;
    this.#reject(error);
    this.refused(error);
  }

  give(item: Item): void {
    // A topic is in one log; a pattern may be in several, each with a place of its own.
    if (!this.pattern) this.#places.clear();
    this.#places.set(item.epoch, isMessage(item) ? item.offset : item.to);
    this.#waiting.push(item);
    if (!this.#current) this.#run();
  }

  #run(): void {
    for (;;) {
      const item = this.ended ? undefined : this.#waiting.shift();
      if (!item) return;
      this.#current = item;
      const result = this.#call(item);
      if (result instanceof Promise) {
        result.then(() => {
          this.#settle(item);
          this.#run();
        });
        return;
      }
      this.#settle(item);
    }
  }

  /** What the handler gives back; a promise that never rejects if it takes its time. */
  #call(item: Item): unknown {
    const failed = (cause: unknown) => {
      const own = cause instanceof TidewireError && cause.code === "bad_payload";
      this.owner.report(own ? cause : new TidewireError("handler_failed", this.name, false, cause));
    };
    try {
      const result = this.consume(item);
      return isThenable(result) ? Promise.resolve(result).catch(failed) : undefined;
    } catch (cause) {
      return failed(cause);
    }
  }

  #settle(item: Item): void {
    this.#current = undefined;
    if (!isMessage(item)) return;
    if (this.#foreign > 0) this.#foreign--;
    else this.owner.settled(this, item.view().length);
  }
}

function isMessage(item: Item): item is Message {
  return item.type === "message";
}

function isThenable(value: unknown): boolean {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
}
