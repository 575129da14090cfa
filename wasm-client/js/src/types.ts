// What an application sees. No code.

import type { ErrorCode, TidewireError } from "./errors.js";

declare global {
  // Lets libraries that compile for ES2022 use these types; newer targets bring the same declaration.
  interface SymbolConstructor {
    readonly dispose: unique symbol;
  }
}

/** The WebSocket class of a runtime without a global one, such as that of `ws` on Node 20. */
export type WebSocketConstructor = new (
  url: string,
  protocols: string[],
) => { binaryType: string; send(data: Uint8Array): void; close(code?: number): void };

export interface ClientOptions {
  /** Whose client this is. Clients of one address and identity in one realm share one connection. */
  readonly identity?: string;
  /** What may wait to be acknowledged. */
  readonly outbox?: OutboxOptions;
  /** Where there is no global `WebSocket`. */
  readonly WebSocket?: WebSocketConstructor;
}

export interface OutboxOptions {
  /** Messages that may wait; 10,000 if not given. */
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
  /** The value: parsed once, when first asked for, if it is JSON; a copy of the bytes if it is binary. */
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
  /** The bytes without a copy, for the time of the handler only: messages share one buffer. */
  view(): Uint8Array;
}

/** Messages that are gone: those at `from` to `to`. What follows comes after them. */
export interface Gap {
  readonly type: "gap";
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
  readonly reason:
    | "retention"
    | "epoch_changed"
    | "forgotten"
    | "beyond_end"
    | "too_slow"
    | "unknown";
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
  /** What the hub does when this connection cannot keep up; `"catch_up"` if not given. */
  readonly whenSlow?: "catch_up" | "gap" | "disconnect";
  /** `false` spares this client what it publishes itself from then on. */
  readonly echo?: boolean;
  /** Unsubscribes when aborted. */
  readonly signal?: AbortSignal;
}

export interface SubscriptionEvents {
  /** Told in order with the messages. */
  gap: Gap;
  /** The subscription has ended, and not because the application asked. */
  refused: TidewireError;
}

/** Ends an `on`. */
export type Off = () => void;

export interface Subscription {
  readonly name: string;
  /** Settles once: with what the subscriber got, or with the refusal. */
  readonly ready: Promise<Ready>;
  on<E extends keyof SubscriptionEvents>(
    event: E,
    handler: (value: SubscriptionEvents[E]) => void,
  ): Off;
  /** Nothing is delivered after this returns. */
  unsubscribe(): void;
  [Symbol.dispose](): void;
}

/** Messages and gaps, one after another; leaving the loop unsubscribes. */
export interface Messages<T> extends AsyncIterableIterator<Message<T> | Gap> {
  readonly ready: Promise<Ready>;
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
}

export interface Topic<T = unknown> extends Pattern<T> {
  /** Publishes; settles when the hub has it or refuses it, online now or later. */
  publish(value: T, options?: PublishOptions): Publishing;
}

export interface PublishOptions {
  /** `"acked"` by the hub, or `"stored"` here so that it survives a crash: an outbox in memory refuses. */
  readonly until?: "acked" | "stored";
  /** Stops the waiting. The message goes out all the same: see `outbox.cancel`. */
  readonly signal?: AbortSignal;
}

/** The outcome to come, with the number under which `outbox.cancel` knows it. */
export interface Publishing extends Promise<Published> {
  readonly id: number;
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
  /** Bytes of their payloads. */
  readonly bytes: number;
  /** Withdraws a message: at once if it was never sent, else by a void in its place. Its promise tells. */
  cancel(id: number): void;
}

export interface Status {
  readonly state: "idle" | "connecting" | "online" | "offline" | "closed";
  /** Why it is offline or closed. */
  readonly reason?: ErrorCode;
  /** Milliseconds until the next try. */
  readonly retryInMs?: number;
  /** Where the outbox is. */
  readonly storage: "memory";
}

export interface ClientEvents {
  status: Status;
  /** What no promise is left to tell: failed handlers, ended subscriptions, a stopped engine. */
  error: TidewireError;
}

/** Maps names and patterns to what their messages are. */
export type Contract = object;

/** The type that a contract gives to a name: its own entry's, else that of the patterns that match. */
export type DataOf<C extends Contract, N extends string> = N extends keyof C
  ? C[N]
  : { [P in keyof C & string]: Matches<P, N> extends true ? C[P] : never }[keyof C & string];

type Matches<P extends string, N extends string> = P extends `${infer PHead}.${infer PRest}`
  ? N extends `${infer NHead}.${infer NRest}`
    ? PHead extends "*" | NHead
      ? Matches<PRest, NRest>
      : false
    : false
  : P extends ">"
    ? true
    : N extends `${string}.${string}`
      ? false
      : P extends "*" | N
        ? true
        : false;

/** Without a contract the type is said where the topic is named. */
export interface Naming {
  topic<T = unknown>(name: string): Topic<T>;
  pattern<T = unknown>(name: string): Pattern<T>;
}

/** With a contract the name says the type. */
export interface ContractNaming<C extends Contract> {
  topic<N extends string>(name: N): Topic<DataOf<C, N>>;
  pattern<N extends string>(name: N): Pattern<DataOf<C, N>>;
}

interface ClientBase {
  readonly status: Status;
  readonly outbox: Outbox;
  on<E extends keyof ClientEvents>(event: E, handler: (value: ClientEvents[E]) => void): Off;
  /** Connects now rather than with the first use. */
  connect(): void;
  /** Resolves when everything published so far has its outcome. */
  flush(): Promise<void>;
  /** Ends this client; the last of those that share a connection ends that too. */
  close(): void;
  [Symbol.dispose](): void;
}

export type Client<C extends Contract = never> = ClientBase &
  ([C] extends [never] ? Naming : ContractNaming<C>);
