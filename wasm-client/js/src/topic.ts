// Topics and patterns: names that can be listened to, and for topics published to.

import { dispose } from "./dispose.js";
import { Emitter } from "./emitter.js";
import { TidewireError } from "./errors.js";
import { Iteration } from "./iteration.js";
import { type Item, Listener } from "./listener.js";
import type { Session } from "./session.js";
import type {
  Handler,
  Message,
  Messages,
  Pattern,
  Published,
  Publishing,
  PublishOptions,
  Ready,
  SubscribeOptions,
  Subscription,
  SubscriptionEvents,
  Topic,
} from "./types.js";

/** What names need of the client that made them. */
export interface Home {
  readonly session: Session;
  /** Ends with the client. Throws if the client is closed. */
  listen(listener: Listener): () => void;
}

const utf8 = new TextEncoder();

export class NamedPattern<T> implements Pattern<T> {
  constructor(
    readonly home: Home,
    readonly name: string,
  ) {}

  subscribe(handler: Handler<T>, options: SubscribeOptions = {}): Subscription {
    const events = new Emitter<SubscriptionEvents>();
    const [{ ready }, unsubscribe] = this.#open(
      options,
      (item) => (item.type === "gap" ? void events.emit("gap", item) : handler(item as Message<T>)),
      (error) => events.emit("refused", error),
    );
    return new Listening(this.name, ready, events, unsubscribe);
  }

  messages(options: SubscribeOptions = {}): Messages<T> {
    const iteration = new Iteration((consume, refused) => this.#open(options, consume, refused));
    return iteration as Messages<unknown> as Messages<T>;
  }

  #open(
    options: SubscribeOptions,
    consume: (item: Item) => unknown,
    refused: (error: TidewireError) => void,
  ): [Listener, () => void] {
    const { home, name } = this;
    options.signal?.throwIfAborted();
    const pattern = !(this instanceof NamedTopic);
    const listener = new Listener(home.session, name, pattern, options, consume, refused);
    const stop = home.listen(listener);
    options.signal?.addEventListener("abort", stop, { once: true });
    return [listener, stop];
  }
}

export class NamedTopic<T> extends NamedPattern<T> implements Topic<T> {
  publish(value: T, options: PublishOptions = {}): Publishing {
    const { home, name } = this;
    const { signal } = options;
    let id = 0;
    const outcome = new Promise<Published>((resolve, reject) => {
      signal?.throwIfAborted();
      const about = `publish to ${name}`;
      if (options.until === "stored") throw new TidewireError("memory_only", about);
      if (home.session.closed) throw new TidewireError("closed", about);
      const binary = value instanceof Uint8Array;
      const entry = home.session.publish(
        name,
        binary ? 3 : 1,
        binary ? value.slice() : json(value, about),
      );
      id = entry.id;
      entry.outcome.then(resolve, reject);
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    return Object.assign(outcome, { id });
  }
}

/** A subscription as the application holds it. */
class Listening implements Subscription {
  readonly #events: Emitter<SubscriptionEvents>;

  constructor(
    readonly name: string,
    readonly ready: Promise<Ready>,
    events: Emitter<SubscriptionEvents>,
    readonly unsubscribe: () => void,
  ) {
    this.#events = events;
  }

  on: Subscription["on"] = (event, handler) => this.#events.on(event, handler);

  [dispose](): void {
    this.unsubscribe();
  }
}

function json(value: unknown, about: string): Uint8Array {
  try {
    const text = JSON.stringify(value);
    if (text !== undefined) return utf8.encode(text);
  } catch (cause) {
    throw new TidewireError("bad_value", about, false, cause);
  }
  throw new TidewireError("bad_value", about);
}
