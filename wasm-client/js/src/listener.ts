// One listener: its place, and what waits for its handler. The bound on what waits is the engine's, which is
// told of everything that is settled.

import { type Deferred, deferred } from "./deferred.js";
import { guard } from "./emitter.js";
import type { Engine } from "./engine/engine.js";
import { Call } from "./engine/tables.js";
import { TidewireError } from "./errors.js";
import type { ReceivedMessage } from "./message.js";
import type { Gap, Ready, SubscribeOptions, Subscription } from "./types.js";

/** What a listener is given, in order. */
export type Item = ReceivedMessage | Gap;

/** Who is given messages under a number. */
export interface Reader {
  /** The engine's number for it; 0 if the engine has not been told. */
  number: number;
  readonly name: string;
  /** What it is for, in an error. */
  readonly about: string;
  /** Asks an engine. Gives the number, or below zero a refusal. */
  introduce(engine: Engine): number;
  /** `what` is what a page's row says of it. */
  begin(ready: Ready, what: number): void;
  give(item: Item): void;
  caught(): void;
  /** It is over, by the application's wish, or because of a refusal, which may be told already. Whether it is heard. */
  end(reason: unknown, refused?: TidewireError, told?: boolean): boolean;
  /** The engine is gone. */
  orphan(): void;
}

/** What a reader needs of its client. */
export interface Owner {
  settled(listener: Listener, bytes: number): void;
  /** It is to be told when it has caught up. */
  pursue(listener: Listener): void;
  report(error: TidewireError): void;
  /** The reader has ended. */
  left(reader: Reader): void;
}

/** What becomes of what a listener is given. */
export interface Consumer {
  /** A promise if it takes its time. */
  consume(item: Item): unknown;
  /** Nothing comes any more; `refused` says why, if that was not the application's wish. Whether it is heard. */
  over(refused?: TidewireError): boolean;
}

export class Listener implements Reader {
  number = 0;
  state: Subscription["state"] = "starting";
  /** Told to the engine with the next call. */
  settledMessages = 0;
  settledBytes = 0;
  readonly #ready = deferred<Ready>();
  #awaited = false;
  readonly #places = new Map<string, number>();
  readonly #waiting: Item[] = [];
  /** What the handler has, and has not settled. */
  #current: Item | undefined;
  /** Messages that an engine before this one gave, and that this one must not hear of. */
  #foreign = 0;
  #reason: unknown;
  /** Somebody waits until it has caught up. */
  #pursuit: Deferred<void> | undefined;
  /** It has caught up once this is settled. */
  #last: Item | undefined;
  /** Hears when `state` or `lag` is another than it was when told last. */
  #watcher: (() => void) | undefined;
  #told = "";
  #isChangeDue = false;

  constructor(
    readonly owner: Owner,
    readonly name: string,
    readonly pattern: boolean,
    readonly options: SubscribeOptions,
    readonly consumer: Consumer,
  ) {
    // Whoever does not look at it hears of a refusal in another way.
    this.#ready.promise.catch(() => {});
  }

  get ready(): Promise<Ready> {
    this.#awaited = true;
    return this.#ready.promise;
  }

  get ended(): boolean {
    return this.state === "ended";
  }

  /** Messages and gaps that came and wait for the handler. */
  get lag(): number {
    return this.#waiting.length;
  }

  get caughtUp(): Promise<void> {
    if (!this.#pursuit) {
      const pursuit = deferred<void>();
      pursuit.promise.catch(() => {});
      this.#pursuit = pursuit;
      if (this.ended) pursuit.reject(this.#reason);
      else this.owner.pursue(this);
    }
    return this.#pursuit.promise;
  }

  get about(): string {
    return `subscribe to ${this.name}`;
  }

  /** Has changes told from now on, once a turn. */
  watch(watcher: () => void): void {
    if (!this.#watcher) this.#told = this.state + this.lag;
    this.#watcher = watcher;
  }

  introduce(engine: Engine): number {
    // Where another engine goes on: what this listener was given last, in each log.
    const places = Array.from(this.#places, ([epoch, offset]) => ({ epoch, offset }));
    const from = places.length ? places : (this.options.from ?? "latest");
    const number = engine.subscribe(this.name, this.options, from);
    if (number > 0 && this.#pursuit) engine.tell(Call.CatchUp, number);
    return number;
  }

  orphan(): void {
    this.number = 0;
    this.settledMessages = this.settledBytes = 0;
    const unsettled = this.#current ? [this.#current, ...this.#waiting] : this.#waiting;
    this.#foreign = unsettled.filter(isMessage).length;
  }

  begin(ready: Ready): void {
    this.#places.clear();
    for (const { epoch, offset } of ready.positions) this.#places.set(epoch, offset);
    this.state = "live";
    this.#ready.resolve(ready);
    this.#changed();
    if (ready.gap) this.give(ready.gap);
  }

  end(reason: unknown, refused?: TidewireError, told = false): boolean {
    if (this.ended) return true;
    this.#reason = reason;
    this.#pursuit?.reject(reason);
    const isAwaited = this.#awaited && this.state === "starting";
    this.state = "ended";
    this.#waiting.length = 0;
    this.#ready.reject(reason);
    this.owner.left(this);
    // At once: nothing is told after the end.
    this.#tellChange();
    const isHeard = this.consumer.over(refused) || isAwaited;
    if (refused && !isHeard && !told) this.owner.report(refused);
    return isHeard;
  }

  give(item: Item): void {
    // A topic is in one log; a pattern may be in several, each with a place of its own.
    if (!this.pattern) this.#places.clear();
    this.#places.set(item.epoch, isMessage(item) ? item.offset : item.to);
    this.#waiting.push(item);
    if (!this.#current) this.#run();
    this.#changed();
  }

  caught(): void {
    this.#last = this.#waiting.at(-1) ?? this.#current;
    if (!this.#last) this.#pursuit?.resolve();
  }

  #changed(): void {
    if (!this.#watcher || this.#isChangeDue) return;
    this.#isChangeDue = true;
    queueMicrotask(() => {
      this.#isChangeDue = false;
      this.#tellChange();
    });
  }

  #tellChange(): void {
    const now = this.state + this.lag;
    if (now === this.#told) return;
    this.#told = now;
    this.#watcher?.();
  }

  #run(): void {
    for (let item = this.#waiting.shift(); item; item = this.#waiting.shift()) {
      this.#current = item;
      const wait = this.#call(item);
      if (wait) {
        const given = item;
        wait.then(() => {
          this.#settle(given);
          this.#run();
          this.#changed();
        });
        return;
      }
      this.#settle(item);
    }
  }

  /** A promise that never rejects if the handler takes its time. */
  #call(item: Item): Promise<unknown> | undefined {
    try {
      if (isMessage(item)) item.read();
    } catch (error) {
      this.owner.report(error as TidewireError);
      return undefined;
    }
    return guard(() => this.consumer.consume(item), this.failed);
  }

  /** A handler has thrown. */
  readonly failed = (cause: unknown): void => {
    this.owner.report(new TidewireError("handler_failed", this.name, false, cause));
  };

  #settle(item: Item): void {
    this.#current = undefined;
    if (item === this.#last) this.#pursuit?.resolve();
    if (!isMessage(item)) return;
    if (this.#foreign > 0) this.#foreign--;
    else this.owner.settled(this, item.view().length);
  }
}

function isMessage(item: Item): item is ReceivedMessage {
  return item.type === "message";
}
