// What an application sees. No code.

import type { Contract, DataOf } from "./contract.js";
import type { ErrorCode, TidewireError } from "./errors.js";
import type { TokenSource } from "./token.js";

declare global {
  // Lets libraries that compile for ES2022 use these types; newer targets bring the same declaration.
  interface SymbolConstructor {
    readonly dispose: unique symbol;
  }
}

/** What the client uses of a WebSocket. */
export interface SocketLike {
  binaryType: string;
  /** The subprotocol that was agreed on. */
  readonly protocol?: string;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
  addEventListener(
    type: "open" | "message" | "close" | "error",
    // biome-ignore lint/suspicious/noExplicitAny: every library has events of its own.
    listener: (event: any) => void,
  ): void;
}

/** The WebSocket class of a runtime without a global one, such as that of `ws` on Node 20. */
export type WebSocketConstructor = new (url: string, protocols: string[]) => SocketLike;

export interface ClientOptions {
  /**
   * Whose client this is. Clients of one address and identity in one realm share one connection, but in workerd and
   * edge runtimes, where a connection belongs to its request.
   */
  readonly identity?: string;
  /** Signs in: a token, or what gives one whenever the hub wants one. */
  readonly token?: string | TokenSource | undefined;
  /** What may wait to be acknowledged. */
  readonly outbox?: OutboxOptions;
  /** Where there is no global `WebSocket`. */
  readonly WebSocket?: WebSocketConstructor;
  /** Hears of gaps in subscriptions without a handler for them; without it the console is told, once. */
  readonly onGap?: (gap: Gap, name: string) => unknown;
}

export interface OutboxOptions {
  /** Messages that may wait; 10,000 if not given, and `Infinity` is no bound. */
  readonly maxCount?: number;
  /** Bytes of payload that may wait; 16 MiB if not given. */
  readonly maxBytes?: number;
  /** What to do with one more: refuse it (what holds if not given), or drop the oldest never sent. */
  readonly whenFull?: "reject" | "drop_oldest";
}

/** A place in a log: everything up to and including `offset` lies before it. */
export interface Position {
  /** The log's identity: 16 hexadecimal digits. Another one means that earlier offsets mean nothing. */
  readonly epoch: string;
  readonly offset: number;
}

export interface Message<T = unknown> {
  readonly type: "message";
  readonly topic: string;
  /** The value, if it is JSON; a copy of the bytes, if it is binary. Copies of the message have it too. */
  readonly data: T;
  readonly content: "json" | "text" | "binary" | "cbor";
  /** Strictly increasing in a topic, not dense. */
  readonly offset: number;
  readonly epoch: string;
  /** The hub's clock when it took the message, milliseconds since 1970. It informs; offsets order. */
  readonly publishedAt: number;
  /** Who published it, by the hub's word, where the topic's rule says so. */
  readonly sender: string | undefined;
  /** The publisher may have stored it twice: the hub had forgotten what it knew of the first try. */
  readonly maybeDuplicate: boolean;
  /** What it is about: a later one of the same key replaces it where the topic keeps the latest of each. */
  readonly key: string | undefined;
  /** An object without a prototype: a name may be any, also one that objects have something by. */
  readonly headers: Readonly<Record<string, string>>;
  /** For how many milliseconds after `publishedAt` it is worth anything. */
  readonly ttl: number | undefined;
  /** Its key has no value any more; `data` is `undefined` then. */
  readonly removed: boolean;
  /** Its place, for `ifVersion`; so is the message itself. */
  readonly version: Position;
  /** The bytes without a copy, for the time of the handler only: messages share one buffer. */
  view(): Uint8Array;
}

/** Messages that are gone: those at `from` to `to`. What follows comes after them. */
export interface Gap {
  readonly type: "gap";
  readonly epoch: string;
  readonly from: number;
  /** Below `from` after `epoch_changed`, if nothing of the new log is gone: how much of the old one is, nobody knows. */
  readonly to: number;
  readonly reason:
    | "retention"
    | "epoch_changed"
    | "forgotten"
    | "beyond_end"
    | "too_slow"
    /** Keys were removed, and nobody knows which any more: drop all that you have, it comes anew. */
    | "compacted"
    | "unknown";
}

/** A page of what is kept, oldest message first. */
export interface Page<T = unknown> {
  readonly messages: readonly Message<T>[];
  /** What is missing before the first of them. */
  readonly gap?: Gap;
  /** Where the next page starts, and a subscription that goes on behind this one: give it as `from`. */
  readonly next: readonly Position[];
  /** Below which lies what comes before this page: give it as `before`. */
  readonly previous: readonly Position[];
  /** Whether there was more to read: behind this, or before it where `before` was given. */
  readonly more: boolean;
}

/** What a subscriber got: new messages only, all that it asked for, or all but what the gap tells. */
export interface Ready {
  readonly outcome: "live" | "resumed" | "gap";
  readonly gap?: Gap;
  /** Messages come after these places: one for a topic, one per log for a pattern. */
  readonly positions: readonly Position[];
}

/** Where to start: a word, the last so many, the last so many milliseconds, or after a place. */
export type From =
  | "latest"
  | "earliest"
  | { readonly last: number }
  | { readonly sinceMs: number }
  | Position
  | readonly Position[];

export interface SubscribeOptions {
  /** `"latest"` if not given. */
  readonly from?: From;
  /**
   * What the hub does when this connection cannot keep up; `"catch_up"` if not given. `"latest"` passes over what was
   * replaced, and is for topics that keep the latest of each key: any other ends the subscription with `not_supported`.
   * Subscriptions to one name share what the hub sends: where one wants more than `"latest"`, all get all, and
   * otherwise the first of them decides.
   */
  readonly whenSlow?: "catch_up" | "gap" | "disconnect" | "latest";
  /** `false` spares this client what it publishes itself from then on. */
  readonly echo?: boolean;
  /** Unsubscribes when aborted; `ready`, if it has not settled, rejects with its reason. */
  readonly signal?: AbortSignal;
}

export interface HistoryOptions {
  /** The last `limit` messages if neither this nor `before` is given. */
  readonly from?: From;
  /** Asks for the newest messages below a place: a message, the `previous` of a page, or the end. */
  readonly before?: Position | readonly Position[] | "latest";
  /** Messages of a page, 100 if not given: it has as many, or all that there are; fewer only beyond 8 MiB, with `more`. */
  readonly limit?: number;
  /** Stops the waiting. */
  readonly signal?: AbortSignal;
}

export interface SubscriptionEvents {
  /** Told in order with the messages; a handler that returns a promise is waited for. */
  gap: Gap;
  /** The subscription has ended, or did not begin, and not because the application asked. */
  refused: TidewireError;
  /** `state` or `lag` is another; told once a turn, and when it has ended. */
  change: Subscription;
}

/** Ends an `on`. */
export type Off = () => void;

export interface Subscription {
  readonly name: string;
  /**
   * Settles once: with what the subscriber got, or with what ended it before: a refusal, `cancelled`, `closed`, or what
   * has ended the client.
   */
  readonly ready: Promise<Ready>;
  /** `starting` until `ready`, `ended` after `unsubscribe` or a refusal. */
  readonly state: "starting" | "live" | "ended";
  /** Messages and gaps that came and wait for the handler. */
  readonly lag: number;
  /**
   * Resolves when the handler is done with all that was there when this was first asked for, mostly when one subscribed.
   * Rejects as `ready` does, whenever the subscription ends before.
   */
  readonly caughtUp: Promise<void>;
  on<E extends keyof SubscriptionEvents>(
    event: E,
    handler: (value: SubscriptionEvents[E]) => unknown,
  ): Off;
  /** Nothing is delivered after this returns. */
  unsubscribe(): void;
  [Symbol.dispose](): void;
}

/** Messages and gaps, one after another; leaving the loop, and an abort, unsubscribe and end it. */
export interface Messages<T> extends AsyncIterableIterator<Message<T> | Gap> {
  readonly ready: Promise<Ready>;
  /** Resolves when the loop asks for what follows all that was there when this was first asked for. */
  readonly caughtUp: Promise<void>;
  return(): Promise<IteratorResult<Message<T> | Gap>>;
  [Symbol.asyncIterator](): Messages<T>;
  [Symbol.dispose](): void;
}

/** Returning a promise asks for the next message only when it has settled. */
export type Handler<T> = (message: Message<T>) => unknown;

/** All topics that a pattern matches. */
export interface Pattern<T = unknown> {
  readonly name: string;
  subscribe(handler: Handler<T>, options?: SubscribeOptions): Subscription;
  messages(options?: SubscribeOptions): Messages<T>;
  /** A page of what is kept. Waits while there is no connection. */
  history(options?: HistoryOptions): Promise<Page<T>>;
}

export interface Topic<T = unknown> extends Pattern<T> {
  /**
   * Publishes; settles when the hub has it or refuses it, online now or later. Buffers and views of them travel as
   * their bytes, which are copied at once; all else as JSON, which has dates write themselves and leaves `undefined`
   * members out, and what JSON cannot say rejects with a `TypeError`.
   */
  publish(value: T, options?: PublishOptions): Publishing;
  /** Publishes that a key has no value any more, to a topic that keeps the latest of each. */
  remove(key: string, options?: RemoveOptions): Publishing;
  /**
   * Sends an update that may be lost, such as where a pointer is: no outbox keeps it, and nobody answers. `false` if it
   * is lost already. Throws what `publish` rejects with a `TypeError` for.
   */
  send(value: T, options?: SendOptions): boolean;
}

/** What a message has besides its value. */
export interface MessageOptions {
  /** What it is about, at most 255 bytes. Where the topic keeps the latest of each key, it replaces those before it. */
  readonly key?: string | undefined;
  /** Names of lower-case letters, digits, `-`, `_` and `.`, each with a string; 32 at most. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** For how many milliseconds from now on it is worth anything: neither this client nor the hub keeps it longer. */
  readonly ttl?: number | undefined;
}

/** On which terms a message is published. */
export interface Terms {
  /** Only if the latest message of its key is this one; else the promise rejects with `ConditionFailed`. */
  readonly ifVersion?: Position | undefined;
  /** Only if its key has no value. */
  readonly ifAbsent?: boolean | undefined;
  /** Settles once this holds, if that is less than the topic's rule says. */
  readonly durability?: "memory" | "synced" | undefined;
}

export interface SendOptions extends MessageOptions {
  /** How long it is worth waiting where it cannot go at once; 0 if not given. */
  readonly expiresMs?: number;
}

/** What is chosen for who waits. */
export interface WaitOptions {
  /** `"acked"` by the hub, or `"stored"` here so that it survives a crash: an outbox in memory refuses. */
  readonly until?: "acked" | "stored";
  /** Stops the waiting. The message goes out all the same: see `outbox.cancel`. */
  readonly signal?: AbortSignal;
}

export interface PublishOptions extends WaitOptions, MessageOptions, Terms {}

export interface RemoveOptions extends WaitOptions, Omit<Terms, "ifAbsent"> {
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** The outcome to come, with the number under which `outbox.cancel` knows it. */
export interface Publishing extends Promise<Published> {
  readonly id: number;
}

/** The outcomes to come, in the order of the messages; `outbox.cancel` with this number withdraws the whole batch. */
export interface PublishingBatch<N extends readonly unknown[] = readonly unknown[]>
  extends Promise<{ -readonly [I in keyof N]: Published }> {
  readonly id: number;
}

/** One message of a batch. */
export interface BatchMessage<N extends string = string, T = unknown>
  extends MessageOptions,
    Terms {
  readonly topic: N;
  readonly data: T;
}

export interface Published extends Position {
  readonly durability: "memory" | "synced" | "replicated" | "replicated_synced";
  /** An earlier try had stored it. */
  readonly duplicate: boolean;
  /** It may be stored twice: the hub had forgotten what it knew of an earlier try. */
  readonly maybeDuplicate: boolean;
}

export interface Outbox {
  /** Messages without an outcome. */
  readonly count: number;
  /** Bytes of their payloads, and, roughly, of their keys and headers. */
  readonly bytes: number;
  /** Withdraws a message: at once if it was never sent, else by a void in its place. Its promise tells. */
  cancel(id: number): void;
}

/** Another object whenever anything in it changes, and the same until then. */
export interface Status {
  readonly state: "idle" | "connecting" | "online" | "offline" | "closed";
  /** Why it is offline or closed; while it connects, why the last try led to nothing. */
  readonly reason?: ErrorCode;
  /** The reason in words, where someone said them: the hub, the WebSocket, the engine's loader. */
  readonly detail?: string;
  /** When the next try comes, in milliseconds of `Date.now()`. */
  readonly retryAt?: number;
  /** Tries to connect since it was online, with the one that goes on. */
  readonly attempts?: number;
  /** It is in doubt, and the hub is asked for a sign of life. */
  readonly probing?: boolean;
  /** Where the outbox is. */
  readonly storage: "memory";
}

export interface ClientEvents {
  status: Status;
  /** There are more or fewer messages in it; told once a turn. */
  outbox: Outbox;
  /** What no promise and no handler is left to tell: failed handlers, refusals; and whatever ends or stops a client. */
  error: TidewireError;
}

/** The contract of a client, by its own type: named in a parameter, it would keep `Client<Topics>` from being a `Client`. */
type ContractOf<Self> = Self extends Client<infer C> ? C : never;

/** With a contract the name says the type; without one, or against it, the caller does. */
export interface Client<C extends Contract = never> {
  /** The same object until something in it changes. */
  readonly status: Status;
  readonly outbox: Outbox;
  /** Updates by this client's `send` that were lost on this side. What the hub drops it counts itself. */
  readonly sendsDropped: number;
  /** The same object for the same name, as long as anyone holds it. */
  topic<T = never, N extends string = string>(
    name: N,
  ): Topic<[T] extends [never] ? DataOf<C, N> : NoInfer<T>>;
  pattern<T = never, N extends string = string>(
    name: N,
  ): Pattern<[T] extends [never] ? DataOf<C, N> : NoInfer<T>>;
  /**
   * Publishes 1 to 1,000 messages, to one topic or several: the hub stores all of them, side by side, or none. Rejects
   * with what one of them met.
   */
  publishBatch<const N extends readonly string[], Self>(
    this: Self,
    messages: { readonly [I in keyof N]: BatchMessage<N[I], DataOf<ContractOf<Self>, N[I]>> },
    options?: WaitOptions,
  ): PublishingBatch<N>;
  on<E extends keyof ClientEvents>(event: E, handler: (value: ClientEvents[E]) => unknown): Off;
  /** Connects now: with no first use, without waiting for the next try; and asks a link that is up whether it is. */
  connect(): void;
  /** Milliseconds to the hub and back. Rejects if there is no connection; one that does not answer is given up. */
  ping(): Promise<number>;
  /** Resolves when everything that this client has published so far has its outcome. */
  flush(): Promise<void>;
  /**
   * Ends this client: what it waits for rejects with `closed`. The last of those that share a connection ends that
   * too.
   */
  close(): void;
  [Symbol.dispose](): void;
}
