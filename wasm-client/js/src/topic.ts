// Topics and patterns: names that can be listened to, and for topics published to.

import { type Besides, besidesOf, published, removalOf, sent, waiting } from "./besides.js";
import {
  checkEvent,
  checkFunction,
  checkHistory,
  checkPublish,
  checkSend,
  checkSubscribe,
} from "./check.js";
import { Emitter } from "./emitter.js";
import { Content } from "./engine/tables.js";
import { TidewireError } from "./errors.js";
import { Iteration } from "./iteration.js";
import { type Consumer, type Item, Listener, type Reader } from "./listener.js";
import { Publication } from "./publication.js";
import { Question } from "./question.js";
import type { Member, Session } from "./session.js";
import { dispose, inspected } from "./symbols.js";
import type {
  Gap,
  Handler,
  HistoryOptions,
  Message,
  Messages,
  Page,
  Pattern,
  Publishing,
  PublishOptions,
  Ready,
  RemoveOptions,
  SendOptions,
  SubscribeOptions,
  Subscription,
  SubscriptionEvents,
  Topic,
  WaitOptions,
} from "./types.js";
import { encode } from "./values.js";

/** What names need of the client that made them. */
export interface Home extends Member {
  readonly session: Session;
  /** Why nothing can be done any more, said of what is asked; nothing as long as something can. */
  ended(about: string): TidewireError | undefined;
  /** Begins; a client that has ended ends the reader, in a moment. */
  listen(listener: Reader): void;
  /** A gap in a subscription without a handler for it. */
  gap(gap: Gap, name: string): unknown;
}

export class NamedPattern<T> implements Pattern<T> {
  readonly #home: Home;

  constructor(
    home: Home,
    readonly name: string,
  ) {
    this.#home = home;
  }

  subscribe(handler: Handler<T>, options: SubscribeOptions = {}): Subscription {
    checkFunction(handler, "handler");
    const { name } = this;
    const home = this.#home;
    const events = new Emitter<SubscriptionEvents>();
    const failed = (cause: unknown) => listener.failed(cause);
    const [listener, stop] = this.#open(options, {
      consume(item: Item) {
        if (item.type === "message") return handler(item as Message<T>);
        const waits = events.emit("gap", item, failed);
        if (!waits) return home.gap(item, name);
        return waits.length ? Promise.all(waits) : undefined;
      },
      over: (refused) => {
        const isHeard = refused && events.emit("refused", refused, failed);
        events.clear();
        return !!isHeard;
      },
    });
    return new Listening(listener, events, stop);
  }

  messages(options: SubscribeOptions = {}): Messages<T> {
    const iteration = new Iteration((consumer) => this.#open(options, consumer));
    return iteration as Messages<unknown> as Messages<T>;
  }

  async history(options: HistoryOptions = {}): Promise<Page<T>> {
    checkHistory(options);
    const { limit = 100, before, signal } = options;
    const { from = before ? { before: before === "latest" ? [] : before } : { last: limit } } =
      options;
    signal?.throwIfAborted();
    const home = this.#home;
    const question = new Question(home, this.name, from, limit);
    const abort = () => home.session.unsubscribe(question, signal?.reason);
    home.listen(question);
    signal?.addEventListener("abort", abort);
    try {
      return (await question.answer.promise) as Page<T>;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  #open(options: SubscribeOptions, consumer: Consumer): [Listener, () => void] {
    const { name } = this;
    const home = this.#home;
    checkSubscribe(options);
    const { signal } = options;
    signal?.throwIfAborted();
    const leave = (reason: unknown) => home.session.unsubscribe(listener, reason);
    const abort = () => leave(signal?.reason);
    const listener = new Listener(home, name, !(this instanceof NamedTopic), options, {
      consume: (item) => consumer.consume(item),
      over(refused) {
        signal?.removeEventListener("abort", abort);
        return consumer.over(refused);
      },
    });
    home.listen(listener);
    signal?.addEventListener("abort", abort);
    return [listener, () => leave(new TidewireError("cancelled", listener.about))];
  }

  [inspected](): object {
    return { [this instanceof NamedTopic ? "topic" : "pattern"]: this.name };
  }

  /** The client, for topics. */
  protected get home(): Home {
    return this.#home;
  }
}

export class NamedTopic<T> extends NamedPattern<T> implements Topic<T> {
  send(value: T, options: SendOptions = {}): boolean {
    const besides = besidesOf(options, `expiresMs ${sent}`);
    checkSend(options);
    const { home, name } = this;
    const about = `send to ${name}`;
    const [content, payload] = encode(value, about);
    if (home.ended(about)) {
      home.sendsDropped++;
      return false;
    }
    return home.session.sending.send(home, name, content, payload, options.expiresMs ?? 0, besides);
  }

  publish(value: T, options: PublishOptions = {}): Publishing {
    const { home, name } = this;
    const about = `publish to ${name}`;
    const besides = () => besidesOf(options, `${waiting} ${published}`);
    return publishing(home, about, options, besides, (besides) =>
      home.session.publish(home, name, ...encode(value, about), besides),
    );
  }

  remove(key: string, options: RemoveOptions = {}): Publishing {
    const { home, name } = this;
    const about = `remove from ${name}`;
    const besides = () => removalOf(key, options);
    return publishing(home, about, options, besides, (besides) =>
      home.session.publish(home, name, Content.Binary, new Uint8Array(0), besides),
    );
  }
}

/** The promise of what `begin` publishes; what cannot be published rejects it. */
export function publishing<T>(
  home: Home,
  about: string,
  options: WaitOptions,
  besidesOf: () => Besides | undefined,
  begin: (besides: Besides | undefined) => Publication<T>,
): Publication<T> {
  try {
    const besides = besidesOf();
    checkPublish(options);
    const { signal, until } = options;
    signal?.throwIfAborted();
    const ended = home.ended(about);
    if (ended) throw ended;
    if (until === "stored") throw new TidewireError("memory_only", about);
    const promise = begin(besides);
    if (signal) {
      const abort = () => promise.fail(signal.reason, () => {});
      signal.addEventListener("abort", abort);
      promise.over(() => signal.removeEventListener("abort", abort));
    }
    return promise;
  } catch (error) {
    const promise = new Publication<T>(0);
    promise.fail(error, () => {
      if (error instanceof TidewireError) home.report(error);
      // A mistake. What the application itself has aborted is none.
      else if (!options?.signal?.aborted) console.error(error);
    });
    return promise;
  }
}

/** A subscription as the application holds it. */
class Listening implements Subscription {
  readonly #listener: Listener;
  readonly #events: Emitter<SubscriptionEvents>;

  constructor(
    listener: Listener,
    events: Emitter<SubscriptionEvents>,
    readonly unsubscribe: () => void,
  ) {
    this.#listener = listener;
    this.#events = events;
  }

  get name(): string {
    return this.#listener.name;
  }

  get ready(): Promise<Ready> {
    return this.#listener.ready;
  }

  get caughtUp(): Promise<void> {
    return this.#listener.caughtUp;
  }

  get state(): Subscription["state"] {
    return this.#listener.state;
  }

  get lag(): number {
    return this.#listener.lag;
  }

  on: Subscription["on"] = (event, handler) => {
    checkEvent(event, handler, "gap refused change");
    const { failed } = this.#listener;
    if (event === "change") {
      this.#listener.watch(() => this.#events.emit("change", this, failed));
    }
    return this.#events.on(event, handler);
  };

  [dispose](): void {
    this.unsubscribe();
  }

  [inspected](): object {
    const { name, state, lag } = this;
    return { subscription: name, state, lag };
  }
}
