// What an application sees of one connection: its listeners, its messages without an outcome, its status. It calls
// the host's engine, hears the engine's rows, and keeps what another engine would need.

import { Emitter } from "./emitter.js";
import { Call, type Engine, type Loader } from "./engine/engine.js";
import { codeOf } from "./engine/faults.js";
import { Kind, type Rows } from "./engine/rows.js";
import { TidewireError } from "./errors.js";
import { type Guest, Host, type Transport } from "./host.js";
import type { Listener, Owner } from "./listener.js";
import { Entries, type Entry } from "./outbox.js";
import { gapOf, messageOf, publishedOf, readyOf, statusOf } from "./readings.js";
import type { ClientEvents, ClientOptions, Status } from "./types.js";

export class Session implements Owner, Guest {
  readonly events = new Emitter<ClientEvents>();
  readonly entries = new Entries();
  status: Status = { state: "idle", storage: "memory" };

  readonly #host: Host;
  readonly #url: string;
  /** All listeners in the order of subscribing, whether the engine knows them or not. */
  readonly #subscribed = new Set<Listener>();
  readonly #byNumber = new Map<number, Listener>();
  readonly #settled = new Set<Listener>();

  constructor(load: Loader, url: string, transport: Transport, { outbox = {} }: ClientOptions) {
    this.#url = url;
    this.#host = new Host(load, transport, outbox, this);
  }

  get closed(): boolean {
    return this.status.state === "closed";
  }

  start(): void {
    this.#host.start();
  }

  publish(topic: string, content: number, payload: Uint8Array): Entry {
    const entry = this.entries.add(topic, content, payload);
    this.start();
    this.#host.tell((engine) => this.#hand(engine, entry));
    return entry;
  }

  cancel(id: number): void {
    const entry = this.entries.find(id);
    if (entry?.number) this.#host.tell((engine) => engine.tell(Call.Cancel, entry.number));
    else if (entry) this.#drop(entry, "cancelled");
  }

  subscribe(listener: Listener): void {
    this.#subscribed.add(listener);
    this.start();
    this.#host.tell((engine) => this.#introduce(engine, listener));
  }

  unsubscribe(listener: Listener): void {
    if (!this.#forget(listener)) return;
    this.#host.tell((engine) => engine.tell(Call.Unsubscribe, listener.number));
  }

  settled(listener: Listener, bytes: number): void {
    listener.settledMessages++;
    listener.settledBytes += bytes;
    if (!this.#byNumber.has(listener.number)) return;
    this.#settled.add(listener);
    if (!this.#host.busy) this.taken();
  }

  /** Tells of an error that no promise tells of; where nobody listens, the console must do. */
  report(error: TidewireError): void {
    if (!this.events.emit("error", error)) console.error(error);
  }

  close(): void {
    this.#host.tell((engine) => engine.tell(Call.Close));
    this.#host.drain();
    if (!this.closed) this.#setStatus({ state: "closed" });
  }

  boot(engine: Engine): void {
    for (const listener of this.#subscribed) this.#introduce(engine, listener);
    for (const entry of this.entries.all()) this.#hand(engine, entry);
  }

  payload(number: number): Uint8Array | undefined {
    const entry = this.entries.byNumber(number);
    if (entry) entry.sent = true;
    return entry?.payload;
  }

  take(rows: Rows, frame: Uint8Array): void {
    for (let row = 0; row < rows.count && !this.closed; row++) {
      const listener = this.#byNumber.get(rows.upper(row, 0));
      switch (rows.lower(row, 0)) {
        case Kind.Message:
          listener?.give(messageOf(rows, row, frame, listener.name));
          break;
        case Kind.Gap:
          listener?.give(gapOf(rows, row));
          break;
        case Kind.Ready:
          listener?.begin(readyOf(rows, row));
          break;
        case Kind.Refused:
          if (listener) {
            const about = `subscribe to ${listener.name}`;
            const code = codeOf(rows.lower(row, 1));
            this.#refuse(listener, new TidewireError(code, about, rows.upper(row, 1) > 0));
          }
          break;
        case Kind.Published:
        case Kind.Failed:
          this.#settle(rows, row);
          break;
        case Kind.Status:
          this.#setStatus(statusOf(rows, row));
          break;
      }
    }
  }

  /** The engine mostly has nothing to do then, and a drain with every message would be dear. */
  taken(): void {
    this.#host.ask((engine) => {
      for (const listener of this.#settled) {
        const { number, settledMessages, settledBytes } = listener;
        if (engine.tell(Call.Settled, number, settledMessages, settledBytes)) {
          this.#host.drainSoon();
        }
        listener.settledMessages = listener.settledBytes = 0;
      }
    });
    this.#settled.clear();
  }

  orphaned(cause: unknown): void {
    this.#forgetNumbers();
    this.report(new TidewireError("engine_failed", this.#url, true, cause));
    this.#setStatus({ state: "offline", reason: "engine_failed", retryInMs: 0 });
  }

  failed(code: "engine_failed" | "no_websocket", cause: unknown): void {
    this.#forgetNumbers();
    this.report(new TidewireError(code, this.#url, false, cause));
    if (!this.closed) this.#setStatus({ state: "closed", reason: code });
  }

  #introduce(engine: Engine, listener: Listener): void {
    const { name, options, places } = listener;
    const from = places.length ? places : (options.from ?? "latest");
    const number = engine.subscribe(name, options, from);
    if (number < 0) {
      this.#refuse(listener, refusal(number, `subscribe to ${name}`));
      return;
    }
    listener.number = number;
    this.#byNumber.set(number, listener);
  }

  #hand(engine: Engine, entry: Entry): void {
    const { topic, content, payload, sent } = entry;
    const number = engine.publish(topic, content, payload.length, sent);
    if (number > 0) {
      this.entries.number(entry, number);
      return;
    }
    const { code, retryable } = refusal(number, topic);
    this.#drop(entry, code, retryable);
  }

  #settle(rows: Rows, row: number): void {
    const entry = this.entries.byNumber(rows.number(row, 3));
    if (!entry) return;
    if (rows.lower(row, 0) === Kind.Published) {
      this.entries.remove(entry);
      entry.resolve(publishedOf(rows, row));
    } else {
      this.#drop(entry, codeOf(rows.lower(row, 1)), rows.upper(row, 1) > 0);
    }
  }

  /** An entry has failed for good. */
  #drop(entry: Entry, ...[code, retryable]: Parameters<Entry["fail"]>): void {
    this.entries.remove(entry);
    entry.fail(code, retryable);
  }

  /** The listener has ended; whether it had not before. */
  #forget(listener: Listener): boolean {
    listener.ended = true;
    this.#byNumber.delete(listener.number);
    this.#settled.delete(listener);
    return this.#subscribed.delete(listener);
  }

  /** The engine or the hub will not have the listener any longer. */
  #refuse(listener: Listener, error: TidewireError): void {
    this.#forget(listener);
    listener.end(error);
    this.report(error);
  }

  #forgetNumbers(): void {
    this.#settled.clear();
    this.#byNumber.clear();
    this.entries.forgetNumbers();
    for (const listener of this.#subscribed) listener.orphan();
  }

  #setStatus(status: Omit<Status, "storage">): void {
    this.status = { ...status, storage: "memory" };
    if (status.state === "closed") this.#end(status.reason ?? "closed");
    this.events.emit("status", this.status);
  }

  /** Nothing comes any more: whatever still waits hears why. */
  #end(code: NonNullable<Status["reason"]>): void {
    this.#host.end();
    for (const entry of this.entries.all()) this.#drop(entry, code);
    for (const listener of this.#subscribed) {
      this.#forget(listener);
      listener.end(new TidewireError(code, listener.name));
    }
  }
}

/** The engine refuses with minus twice a fault, less one if trying again can help. */
function refusal(answer: number, about: string): TidewireError {
  return new TidewireError(codeOf(-answer >> 1), about, (-answer & 1) > 0);
}
