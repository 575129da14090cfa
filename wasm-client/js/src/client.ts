// The client as the application holds it: a share in a session, and the listeners that it opened.

import { besidesOf, published, waiting } from "./besides.js";
import { checkBatch, checkClient, checkEvent, checkId, checkName } from "./check.js";
import { Emitter } from "./emitter.js";
import type { Loader } from "./engine/engine.js";
import { TidewireError } from "./errors.js";
import { SocketLink, shownUrl, socketUrl } from "./link.js";
import type { Listener, Reader } from "./listener.js";
import { Names } from "./names.js";
import { Session } from "./session.js";
import { dispose, inspected } from "./symbols.js";
import { type Home, NamedPattern, NamedTopic, publishing } from "./topic.js";
import type {
  BatchMessage,
  Client,
  ClientEvents,
  ClientOptions,
  Gap,
  Off,
  Outbox,
  PublishingBatch,
  Status,
  WaitOptions,
} from "./types.js";
import { encode } from "./values.js";

interface Share {
  readonly session: Session;
  /** What was chosen, by value. */
  readonly choices: string;
  readonly token: ClientOptions["token"];
}

/** Sessions by address and identity: clients that are equal in both share one. */
const shares = new Map<string, Share>();

/** A client that connects with its first use. Does no I/O itself. */
export function openClient(load: Loader, address: string | URL, options: ClientOptions): Client {
  checkClient(options);
  const url = socketUrl(address);
  const { identity, outbox = {}, token, WebSocket } = options;
  const key = JSON.stringify([url, identity]);
  const choices = `${[outbox.maxCount, outbox.maxBytes, outbox.whenFull ?? "reject"]}`;
  let share = shares.get(key);
  if (!share || share.session.closed) {
    const session = new Session(
      load,
      url,
      (events) => new SocketLink(url, WebSocket, events),
      options,
    );
    share = { session, choices, token };
    shares.set(key, share);
  }
  if (share.choices !== choices || share.token !== token) {
    throw new TidewireError("options_differ", shownUrl(url));
  }
  const { session } = share;
  return new Tide(session, options.onGap, () => {
    if (!session.members.size && shares.get(key)?.session === session) shares.delete(key);
  });
}

class Tide implements Client, Home {
  readonly session: Session;
  readonly outbox: Outbox;
  unsettled = 0;
  sendsDropped = 0;
  closed = false;
  readonly #onGap: ClientOptions["onGap"];
  readonly #left: () => void;
  readonly #events = new Emitter<ClientEvents>();
  readonly #listeners = new Set<Reader>();
  readonly #topics = new Names((name) => new NamedTopic<never>(this, name));
  readonly #patterns = new Names((name) => new NamedPattern<never>(this, name));
  #isGapTold = false;

  constructor(session: Session, onGap: ClientOptions["onGap"], left: () => void) {
    this.session = session;
    this.#onGap = onGap;
    this.#left = left;
    this.outbox = {
      get count() {
        return session.outgoing.count;
      },
      get bytes() {
        return session.outgoing.bytes;
      },
      cancel(id) {
        checkId(id);
        session.cancel(id);
      },
      [inspected]() {
        const { count, bytes } = this;
        return { count, bytes };
      },
    } as Outbox;
    session.members.add(this);
  }

  get status(): Status {
    return this.closed ? closedStatus : this.session.status;
  }

  topic(name: string): NamedTopic<never> {
    checkName(name, false);
    return this.#topics.get(name);
  }

  pattern(name: string): NamedPattern<never> {
    checkName(name, true);
    return this.#patterns.get(name);
  }

  publishBatch(
    messages: readonly BatchMessage[],
    options: WaitOptions = {},
  ): PublishingBatch<never> {
    const promise: Promise<unknown> = publishing(
      this,
      "publishBatch",
      options,
      () => besidesOf(options, waiting),
      () => {
        checkBatch(messages);
        const encoded = messages.map((message) => {
          const { topic, data } = message;
          const besides = besidesOf(message, `topic data ${published}`);
          checkName(topic, false);
          const [content, payload] = encode(data, `publishBatch to ${topic}`);
          return [topic, content, payload, besides] as const;
        });
        return this.session.publishBatch(this, encoded);
      },
    );
    return promise as PublishingBatch<never>;
  }

  on<E extends keyof ClientEvents>(event: E, handler: (value: ClientEvents[E]) => unknown): Off {
    checkEvent(event, handler, "status outbox error");
    return this.#events.on(event, handler);
  }

  connect(): void {
    if (!this.closed) this.session.connect();
  }

  ping(): Promise<number> {
    const ended = this.ended("ping");
    return ended ? Promise.reject(ended) : this.session.ping();
  }

  flush(): Promise<void> {
    return this.closed ? Promise.resolve() : this.session.outgoing.flushed(this);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const listener of [...this.#listeners]) {
      this.session.unsubscribe(listener, new TidewireError("closed", listener.about));
    }
    this.session.leave(this);
    this.#left();
    this.#events.emit("status", closedStatus);
    this.#events.clear();
  }

  [dispose](): void {
    this.close();
  }

  [inspected](): object {
    const { status, outbox, sendsDropped } = this;
    return { client: shownUrl(this.session.url), status, outbox, sendsDropped };
  }

  toJSON(): object {
    return this[inspected]();
  }

  ended(about: string): TidewireError | undefined {
    return this.closed ? new TidewireError("closed", about) : this.session.ended(about);
  }

  listen(listener: Reader): void {
    this.#listeners.add(listener);
    this.session.subscribe(listener, this.ended(listener.about));
  }

  left(listener: Reader): void {
    this.#listeners.delete(listener);
  }

  pursue(listener: Listener): void {
    this.session.pursue(listener);
  }

  settled(listener: Listener, bytes: number): void {
    this.session.settled(listener, bytes);
  }

  report(error: TidewireError): void {
    if (!this.closed && !this.tell("error", error)) console.error(error);
  }

  tell<E extends keyof ClientEvents>(event: E, value: unknown = this.outbox): boolean {
    const failed = (cause: unknown) => {
      const error = new TidewireError("handler_failed", event, false, cause);
      if (event === "error") console.error(error);
      else this.report(error);
    };
    return this.#events.emit(event, value as never, failed) !== undefined;
  }

  gap(gap: Gap, name: string): unknown {
    if (this.#onGap) return this.#onGap(gap, name);
    if (this.#isGapTold) return undefined;
    this.#isGapTold = true;
    console.warn(
      `tidewire: messages of ${name} are gone (${gap.reason}): listen by subscription.on("gap"), or the option onGap`,
    );
    return undefined;
  }
}

const closedStatus: Status = { state: "closed", storage: "memory" };
