// One engine and its link: carries bytes, time and events between them, and keeps what another engine would
// need. The engine decides everything; when it stops (a trap), a new one is made from what is kept here.

import { dispatch } from "./dispatch.js";
import { Emitter } from "./emitter.js";
import { Call, Engine, instantiate, now } from "./engine/engine.js";
import { Kind, type Rows } from "./engine/rows.js";
import { codeOf, TidewireError } from "./errors.js";
import { Link } from "./link.js";
import type { Listener, Owner } from "./listener.js";
import { Entries, type Entry } from "./outbox.js";
import { watchPage } from "./page.js";
import type { ClientEvents, ClientOptions, Status } from "./types.js";

/** Gives the compiled engine, the same each time. */
export type Loader = () => Promise<WebAssembly.Module>;

export class Driver implements Owner {
  readonly events = new Emitter<ClientEvents>();
  readonly entries = new Entries();
  readonly listeners = new Map<number, Listener>();
  status: Status = { state: "idle", storage: "memory" };

  readonly #load: Loader;
  readonly #url: string;
  readonly #options: ClientOptions;
  /** All listeners in the order of subscribing, whether the engine knows them or not. */
  readonly #subscribed = new Set<Listener>();
  readonly #settled = new Set<Listener>();
  readonly #ended = new AbortController();
  readonly #batches: [Rows, Uint8Array][] = [];
  /** Who publishes: 128 random bits that are a secret, and how many engines have had them. */
  readonly #producer = new BigUint64Array(3);
  #link: Link | undefined;
  #engine: Engine | undefined;
  #started = false;
  #drainDue = false;
  #dispatching = false;
  #stoppedAt = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer rings. */
  #due = Number.POSITIVE_INFINITY;

  constructor(load: Loader, url: string, options: ClientOptions) {
    this.#load = load;
    this.#url = url;
    this.#options = options;
  }

  get closed(): boolean {
    return this.status.state === "closed";
  }

  /** Loads the engine and connects, if that has not been done. */
  start(): void {
    if (this.#started || this.closed) return;
    this.#started = true;
    try {
      this.#link ??= new Link(this.#url, this.#options.WebSocket, {
        opened: () => this.#tell((engine) => engine.tell(Call.LinkOpened)),
        closed: (code) => this.#tell((engine) => engine.tell(Call.LinkClosed, code)),
        received: (frame) => this.#take((engine) => engine.received(frame), frame),
      });
      this.#load()
        .then(instantiate)
        .then((wasm) => {
          const [, , engines = 0n] = this.#producer;
          if (!engines) crypto.getRandomValues(this.#producer.subarray(0, 2));
          this.#producer[2] = engines + 1n;
          this.#boot(new Engine(wasm, this.#producer, this.#options.outbox ?? {}));
        })
        .catch((cause) => this.#fail("engine_failed", cause));
    } catch (cause) {
      this.#fail("no_websocket", cause);
    }
  }

  publish(topic: string, content: number, payload: Uint8Array): Entry {
    const entry = this.entries.add(topic, content, payload);
    this.start();
    this.#tell((engine) => this.#hand(engine, entry));
    return entry;
  }

  cancel(id: number): void {
    const entry = this.entries.find(id);
    if (this.#engine) this.#tell((engine) => engine.tell(Call.Cancel, id));
    else if (entry) this.drop(entry, "cancelled");
  }

  /** An entry has failed for good. */
  drop(entry: Entry, ...[code, retryable]: Parameters<Entry["fail"]>): void {
    this.entries.remove(entry);
    entry.fail(code, retryable);
  }

  subscribe(listener: Listener): void {
    this.#subscribed.add(listener);
    this.start();
    this.#tell((engine) => this.#introduce(engine, listener));
  }

  unsubscribe(listener: Listener): void {
    if (!this.forget(listener)) return;
    this.#tell((engine) => engine.tell(Call.Unsubscribe, listener.number));
  }

  /** The listener has ended; whether it had not before. */
  forget(listener: Listener): boolean {
    listener.ended = true;
    this.listeners.delete(listener.number);
    this.#settled.delete(listener);
    return this.#subscribed.delete(listener);
  }

  settled(listener: Listener, bytes: number): void {
    listener.settledMessages++;
    listener.settledBytes += bytes;
    if (!this.listeners.has(listener.number)) return;
    this.#settled.add(listener);
    if (!this.#dispatching) this.#tellSettled();
  }

  /** The engine mostly has nothing to do then, and a drain with every message would be dear. */
  #tellSettled(): void {
    this.#attempt((engine) => {
      for (const listener of this.#settled) {
        const { number, settledMessages, settledBytes } = listener;
        if (engine.tell(Call.Settled, number, settledMessages, settledBytes)) this.#drainSoon();
        listener.settledMessages = listener.settledBytes = 0;
      }
    });
    this.#settled.clear();
  }

  /** Tells of an error that no promise tells of; where nobody listens, the console must do. */
  report(error: TidewireError): void {
    if (!this.events.emit("error", error)) console.error(error);
  }

  setStatus(status: Omit<Status, "storage">): void {
    this.status = { ...status, storage: "memory" };
    if (status.state === "closed") this.#end(status.reason ?? "closed");
    this.events.emit("status", this.status);
  }

  close(): void {
    this.#tell((engine) => engine.tell(Call.Close));
    this.#take((engine) => engine.drain());
    if (!this.closed) this.setStatus({ state: "closed" });
  }

  /** Gives a new engine all that is kept. */
  #boot(engine: Engine): void {
    if (this.closed) return;
    this.#engine = engine;
    watchPage(this.#ended.signal, {
      shown: () => this.#tell((engine) => engine.tell(Call.Online)),
      // At once: the page may not live to see the end of this turn.
      hidden: () => this.#take((engine) => engine.suspend()),
    });
    this.#tell((engine) => {
      engine.tell(Call.Connect);
      for (const listener of this.#subscribed) this.#introduce(engine, listener);
      for (const entry of this.entries.all()) this.#hand(engine, entry);
    });
  }

  #introduce(engine: Engine, listener: Listener): void {
    const { name, options, places } = listener;
    const from = places.length ? places : (options.from ?? "latest");
    const number = engine.subscribe(name, options, from);
    if (number < 0) {
      this.refuse(listener, refusal(number, `subscribe to ${name}`));
      return;
    }
    listener.number = number;
    this.listeners.set(number, listener);
  }

  #hand(engine: Engine, entry: Entry): void {
    const answer = engine.publish(entry);
    if (answer >= 0) return;
    const { code, retryable } = refusal(answer, entry.topic);
    this.drop(entry, code, retryable);
  }

  /** The engine or the hub will not have the listener any longer. */
  refuse(listener: Listener, error: TidewireError): void {
    this.forget(listener);
    listener.end(error);
    this.report(error);
  }

  /** Calls the engine. Several calls in one turn share one drain, and their publishes one packet. */
  #tell(call: (engine: Engine) => void): void {
    this.#attempt((engine) => {
      call(engine);
      this.#drainSoon();
    });
  }

  #attempt(call: (engine: Engine) => void): void {
    try {
      if (this.#engine) call(this.#engine);
    } catch (cause) {
      this.#stopped(cause);
    }
  }

  #drainSoon(): void {
    if (this.#drainDue) return;
    this.#drainDue = true;
    queueMicrotask(() => {
      this.#drainDue = false;
      this.#take((engine) => engine.drain());
    });
  }

  /** Calls the engine and does all that it wants: the link's part at once, the application's part in turn. */
  #take(call: (engine: Engine) => Rows, frame: Uint8Array = none): void {
    this.#attempt((engine) => {
      if (this.#dispatching) engine.keep();
      const rows = call(engine);
      this.#batches.push([rows, frame]);
      this.#operate(engine, rows);
    });
    if (this.#dispatching) return;
    this.#dispatching = true;
    for (let batch = this.#batches.shift(); batch; batch = this.#batches.shift()) {
      dispatch(this, ...batch);
    }
    this.#dispatching = false;
    this.#tellSettled();
  }

  /** Does what rows want of link and timer. */
  #operate(engine: Engine, rows: Rows): void {
    for (let row = 0; row < rows.count; row++) {
      const upper = rows.upper(row, 0);
      switch (rows.lower(row, 0)) {
        case Kind.Deadline:
          this.#wake(rows.number(row, 1));
          break;
        case Kind.OpenLink:
          this.#link?.open();
          break;
        case Kind.CloseLink:
          this.#link?.close(upper);
          break;
        case Kind.NeedToken:
          engine.tell(Call.NoToken);
          break;
        case Kind.Send:
          this.#link?.send(this.#packet(engine.bytes(upper, rows.number(row, 1)), rows, row));
          break;
      }
    }
  }

  /** The bytes of a packet with the payloads that the rows after it tell of. */
  #packet(bytes: Uint8Array<ArrayBuffer>, rows: Rows, row: number): Uint8Array<ArrayBuffer> {
    const parts: Uint8Array[] = [];
    let taken = 0;
    for (let next = row + 1; rows.lower(next, 0) === Kind.Splice; next++) {
      const at = rows.upper(next, 0);
      const entry = this.entries.find(rows.number(next, 1));
      parts.push(bytes.subarray(taken, at));
      taken = at;
      if (!entry) continue;
      entry.seq = rows.number(next, 2);
      parts.push(entry.payload);
    }
    if (!parts.length) return bytes;
    parts.push(bytes.subarray(taken));
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  /** A timer that rings too early does no harm; moving it with every frame would cost more than most frames do. */
  #wake(deadline: number): void {
    if (deadline >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = deadline;
    const wait = Math.min(Math.max(deadline - now(), 0), 2 ** 31 - 1);
    this.#timer = setTimeout(() => {
      this.#due = Number.POSITIVE_INFINITY;
      this.#tell((engine) => engine.tell(Call.Timeout));
    }, Math.ceil(wait));
  }

  /** The engine is of no use any more: another one takes over, unless that was done moments ago. */
  #stopped(cause: unknown): void {
    this.#engine = undefined;
    this.#started = false;
    this.#link?.close(1000);
    this.#settled.clear();
    this.listeners.clear();
    for (const listener of this.#subscribed) listener.orphan();
    if (now() - this.#stoppedAt < 10_000) {
      this.#fail("engine_failed", cause);
      return;
    }
    this.#stoppedAt = now();
    this.report(new TidewireError("engine_failed", this.#url, true, cause));
    this.setStatus({ state: "offline", reason: "engine_failed", retryInMs: 0 });
    this.start();
  }

  #fail(code: "engine_failed" | "no_websocket", cause: unknown): void {
    this.report(new TidewireError(code, this.#url, false, cause));
    if (!this.closed) this.setStatus({ state: "closed", reason: code });
  }

  /** Nothing comes any more: whatever still waits hears why. */
  #end(code: NonNullable<Status["reason"]>): void {
    this.#ended.abort();
    clearTimeout(this.#timer);
    this.#engine = undefined;
    this.#link?.close(1000);
    for (const entry of this.entries.all()) this.drop(entry, code);
    for (const listener of this.#subscribed) {
      this.forget(listener);
      listener.end(new TidewireError(code, listener.name));
    }
  }
}

/** The engine refuses with minus twice a fault, less one if trying again can help. */
function refusal(answer: number, about: string): TidewireError {
  return new TidewireError(codeOf(-answer >> 1), about, (-answer & 1) > 0);
}

const none = new Uint8Array(0);
