// What a page has: the engine, its link, its timers. Carries bytes and time between them, and hands the engine's
// rows to its guest. When the engine stops (a trap), another one is made, and the guest gives it what it keeps.

import { checkToken } from "./check.js";
import { type Deferred, deferred } from "./deferred.js";
import { Engine, type Loader, now } from "./engine/engine.js";
import type { Rows } from "./engine/rows.js";
import { Call, Kind, Standing } from "./engine/tables.js";
import { TidewireError, type TokenRefused } from "./errors.js";
import { type Link, type LinkEnd, type LinkEvents, unheld } from "./link.js";
import { watchPage } from "./page.js";
import type { TokenAsk, TokenSource } from "./token.js";
import type { ClientOptions, OutboxOptions } from "./types.js";

/** Whom the host serves: it outlives engines. */
export interface Guest {
  /** A new engine is to be told everything that is kept. */
  boot(engine: Engine): void;
  /** The payload of a publish, which goes out now. */
  payload(id: number, seq: number): Uint8Array | undefined;
  /** Hears at once what becomes of updates that waited: whoever takes rows may end everything. */
  readonly sending: { settled(route: number, dropped: boolean): void; drained(): void };
  /** Rows in the engine's order; spans count in `frame`. */
  take(rows: Rows, frame: Uint8Array): void;
  /** All rows that there were are taken. */
  taken(): void;
  /** The engine is gone, and what it was told with it. */
  orphaned(): void;
  /** Another engine comes. */
  restarts(cause: unknown): void;
  /** There is no engine any more, or no token, and none will come. */
  failed(cause: unknown): void;
  /** What has ended it, said of what is asked of it. */
  ended(about: string): TidewireError | undefined;
  /** A connection ended, or there can be none; what is known of it besides its close code. */
  lost(end: LinkEnd): void;
  /** The application gave no token now; what was thrown. */
  tokenless(cause: unknown): void;
}

/** A question for the time to the hub and back. */
interface Ping extends Deferred<number> {
  readonly request: number;
  readonly sentAt: number;
}

/** Makes the link, closed yet. Throws if there can be none. */
export type Transport = (events: LinkEvents) => Link;

export class Host {
  readonly #load: Loader;
  readonly #transport: Transport;
  readonly #outbox: OutboxOptions;
  readonly #token: ClientOptions["token"];
  readonly #guest: Guest;
  /** Made when moving in: workerd lets none be made outside of requests. */
  #pageEvents: AbortController | undefined;
  #isEnded = false;
  readonly #batches: [Rows, Uint8Array][] = [];
  /** Who publishes: 128 random bits that are a secret, and how many engines have had them. */
  readonly #producer = new BigUint64Array(3);
  #link: Link | undefined;
  #engine: Engine | undefined;
  #started = false;
  #drainDue = false;
  #stoppedAt = -10_000;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sleepTimer: ReturnType<typeof setInterval> | undefined;
  /** When the timer rings. */
  #due = Number.POSITIVE_INFINITY;
  #isOnline = false;
  #ping: Ping | undefined;
  /** Whether the guest takes rows just now. */
  busy = false;

  constructor(load: Loader, transport: Transport, options: ClientOptions, guest: Guest) {
    this.#load = load;
    this.#transport = transport;
    this.#outbox = options.outbox ?? {};
    this.#token = options.token;
    this.#guest = guest;
  }

  /** Whether there is an engine to call. */
  get running(): boolean {
    return this.#engine !== undefined;
  }

  /** Loads the engine and connects, if that has not been done. */
  begin(): void {
    if (this.#started || this.#isEnded) return;
    this.#started = true;
    if (!this.#link && !this.#move()) return;
    this.#load()
      .then((wasm) => {
        const [, , engines = 0n] = this.#producer;
        if (!engines) crypto.getRandomValues(this.#producer.subarray(0, 2));
        this.#producer[2] = engines + 1n;
        const asks = typeof this.#token === "function";
        this.#boot(new Engine(wasm, this.#producer, this.#outbox, asks));
      })
      .catch((cause) => this.#guest.failed(cause));
  }

  /** Has the engine find out whether the link is what it seems, or make one without waiting any longer. */
  probe(call: Call.Online | Call.Connect = Call.Online): void {
    this.tell((engine) => engine.tell(call));
  }

  /** Milliseconds to the hub and back. One question at a time: who comes meanwhile waits for the same answer. */
  ping(): Promise<number> {
    if (!this.#ping) {
      const request = this.ask((engine) => engine.tell(Call.Ping));
      if (!request) return Promise.reject(lost());
      this.drainSoon();
      this.#ping = { ...deferred<number>(), request, sentAt: now() };
    }
    return this.#ping.promise;
  }

  /** Calls the engine. Several calls in one turn share one drain, and their publishes one packet. */
  tell(call: (engine: Engine) => void): void {
    this.ask(call);
    this.drainSoon();
  }

  /** Calls the engine, and nothing else: whatever is thrown is taken for the end of it. */
  ask<T>(call: (engine: Engine) => T): T | undefined {
    try {
      return this.#engine && call(this.#engine);
    } catch (cause) {
      this.#stopped(cause);
      return undefined;
    }
  }

  drainSoon(): void {
    if (this.#drainDue) return;
    this.#drainDue = true;
    queueMicrotask(() => {
      this.#drainDue = false;
      this.drain();
    });
  }

  /** Does all that the engine wants, now. */
  drain(): void {
    this.#take((engine) => engine.drain());
  }

  /** Gives everything back. */
  end(): void {
    this.#isEnded = true;
    this.#pageEvents?.abort();
    clearTimeout(this.#timer);
    clearInterval(this.#sleepTimer);
    this.#setOnline(false);
    this.#engine = undefined;
    this.#link?.close(1000);
  }

  /** Moves in: what is done once, and lasts until the end. Whether there is a way to the hub at all. */
  #move(): boolean {
    try {
      this.#link = this.#transport({
        opened: () => this.tell((engine) => engine.tell(Call.LinkOpened)),
        closed: (code, end) => this.#lose(code, end),
        received: (frame) => this.#receive(frame),
      });
    } catch (cause) {
      // Later: this is inside a call of the application's.
      queueMicrotask(() => this.#guest.failed(cause));
      return false;
    }
    this.#pageEvents = new AbortController();
    watchPage(this.#pageEvents.signal, {
      online: () => {
        if (!this.#isOnline) this.#abandon();
        this.probe();
      },
      shown: () => this.probe(),
      offline: () => this.#isOnline && this.probe(),
      // At once: the page may not live to see the end of this turn.
      hidden: () => {
        this.drain();
        this.#take((engine) => engine.suspend());
      },
    });
    let last = Date.now();
    const wake = () => {
      const slept = Date.now() - last;
      last = Date.now();
      // Hidden pages have their timers ring once a minute.
      if (slept > 70_000) this.probe();
    };
    this.#sleepTimer = unheld(setInterval(wake, 5_000));
    return true;
  }

  #receive(frame: Uint8Array): void {
    this.#take((engine) => engine.received(frame), frame);
  }

  #lose(code: number, end: LinkEnd): void {
    this.#guest.lost(end);
    this.tell((engine) => engine.tell(Call.LinkClosed, code));
  }

  /** Gives up a link that may wait for ever, if there is one. */
  #abandon(): void {
    this.#link?.close(1000);
    this.#lose(1006, {});
  }

  #setOnline(isOnline: boolean): void {
    this.#isOnline = isOnline;
    if (isOnline) return;
    this.#ping?.reject(this.#guest.ended("ping") ?? lost());
    this.#ping = undefined;
  }

  #boot(engine: Engine): void {
    if (this.#isEnded) return;
    this.#engine = engine;
    this.tell((engine) => {
      if (typeof this.#token === "string") engine.signIn(this.#token);
      engine.tell(Call.Connect);
      this.#guest.boot(engine);
    });
  }

  /** Calls the engine and does all that it wants: the link's part at once, the guest's part in turn. */
  #take(call: (engine: Engine) => Rows, frame: Uint8Array = none): void {
    if (this.busy) this.#engine?.keep();
    const rows = this.ask(call);
    if (rows) {
      this.#batches.push([rows, frame]);
      this.#operate(rows);
      this.#guest.sending.drained();
    }
    if (this.busy) return;
    this.busy = true;
    for (let batch = this.#batches.shift(); batch; batch = this.#batches.shift()) {
      this.#guest.take(...batch);
    }
    this.busy = false;
    this.#guest.taken();
  }

  /** Does what rows want of link and timer. */
  #operate(rows: Rows): void {
    const engine = this.#engine;
    for (let row = 0; row < rows.count && engine === this.#engine; row++) {
      const upper = rows.upper(row, 0);
      switch (rows.lower(row, 0)) {
        case Kind.Deadline:
          this.#wake(rows.number(row, 1));
          break;
        case Kind.Status:
          // The guest says how it has ended.
          if (upper !== Standing.Closed) this.#setOnline(upper === Standing.Online);
          break;
        case Kind.Echoed:
          if (upper !== this.#ping?.request) break;
          this.#ping.resolve(now() - this.#ping.sentAt);
          this.#ping = undefined;
          break;
        case Kind.OpenLink:
          this.#link?.open();
          break;
        case Kind.CloseLink:
          this.#link?.close(upper);
          break;
        case Kind.NeedToken:
          this.#sign(upper, rows.number(row, 1));
          break;
        case Kind.Send: {
          const bytes = this.ask((engine) => engine.bytes(upper, rows.number(row, 1)));
          if (bytes) this.#link?.send(this.#packet(bytes, rows, row));
          break;
        }
        case Kind.Settled:
          this.#guest.sending.settled(upper, rows.lower(row, 1) > 0);
          break;
      }
    }
  }

  /** Has the application give a token. */
  async #sign(reason: number, withinMs: number): Promise<void> {
    const engine = this.#engine;
    let token: string | null = null;
    try {
      const ask = { reason: reasons[reason], signal: AbortSignal.timeout?.(withinMs) ?? null };
      token = await (this.#token as TokenSource)(ask as TokenAsk);
      checkToken(token);
    } catch (cause) {
      token = null;
      // That of another entry of the package is another class.
      if ((cause as TokenRefused | undefined)?.code === "token_refused")
        this.#guest.failed(cause as TokenRefused);
      else this.#guest.tokenless(cause);
    }
    if (engine !== this.#engine) return;
    this.tell((engine) => {
      if (token) engine.signIn(token);
      else engine.tell(Call.NoToken);
    });
  }

  /** The bytes of a packet with the payloads that the rows after it tell of. */
  #packet(bytes: Uint8Array<ArrayBuffer>, rows: Rows, row: number): Uint8Array<ArrayBuffer> {
    const parts: Uint8Array[] = [];
    let taken = 0;
    for (let next = row + 1; rows.lower(next, 0) === Kind.Splice; next++) {
      const at = rows.upper(next, 0);
      const payload = this.#guest.payload(rows.number(next, 1), rows.number(next, 2));
      parts.push(bytes.subarray(taken, at));
      taken = at;
      if (payload) parts.push(payload);
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
      this.tell((engine) => engine.tell(Call.Timeout));
    }, Math.ceil(wait));
  }

  /** The engine is of no use any more: another one takes over, unless that was done moments ago. */
  #stopped(cause: unknown): void {
    this.#engine = undefined;
    this.#started = false;
    this.#link?.close(1000);
    this.#setOnline(false);
    const again = now() - this.#stoppedAt < 10_000;
    this.#stoppedAt = now();
    this.#guest.orphaned();
    // Later: this may be inside a call of the application's.
    queueMicrotask(() => {
      if (again) {
        this.#guest.failed(cause);
      } else {
        this.#guest.restarts(cause);
        this.begin();
      }
    });
  }
}

function lost(): TidewireError {
  return new TidewireError("link_lost", "ping", true);
}

const none = new Uint8Array(0);
/** Why a token is wanted, by the numbers of a `Kind.NeedToken` row. */
const reasons = ["sign_in", "refused", "expires"] as const;
