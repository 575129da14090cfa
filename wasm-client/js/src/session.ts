// What applications see of one connection: their listeners, their messages without an outcome, its status. It calls
// the host's engine, hears the engine's rows, and keeps what another engine would need.

import type { Engine, Loader } from "./engine/engine.js";
import { codeOf } from "./engine/faults.js";
import type { Rows } from "./engine/rows.js";
import { Call, Kind } from "./engine/tables.js";
import { type ErrorCode, endedBy, errorOf, TidewireError, wordsOf } from "./errors.js";
import { type Guest, Host, type Transport } from "./host.js";
import { type LinkEnd, shownUrl } from "./link.js";
import type { Listener, Owner, Reader } from "./listener.js";
import { type Batch, Entries, type Entry, type Outgoing, type Publisher } from "./outbox.js";
import { gather, Publication, type Settling } from "./publication.js";
import * as readings from "./readings.js";
import { refusal, type Sender, Sending } from "./sending.js";
import type { ClientEvents, ClientOptions, Position, Published, Status } from "./types.js";

/** A client that shares the session. */
export interface Member extends Owner, Publisher, Sender {
  /** Whether anyone hears it; the outbox if there is no value. */
  tell<E extends keyof ClientEvents>(event: E, value?: ClientEvents[E]): boolean;
}

export class Session implements Guest {
  readonly members = new Set<Member>();
  readonly outgoing = new Entries(() => this.#outboxChanged());
  status: Status = { state: "idle", storage: "memory" };

  readonly #host: Host;
  readonly url: string;
  readonly sending: Sending;
  /** All readers in the order of their coming, whether the engine knows them or not. */
  readonly #subscribed = new Set<Reader>();
  readonly #byNumber = new Map<number, Reader>();
  readonly #settled = new Set<Listener>();
  /** What the hub said of its codes in words. */
  readonly #sentences = new Map<string, string>();
  #lost: LinkEnd = {};
  #attempts = 0;
  #isOutboxDue = false;
  /** What was thrown, if that has ended it. */
  #cause: unknown;

  constructor(load: Loader, url: string, transport: Transport, options: ClientOptions) {
    this.url = url;
    this.#host = new Host(load, transport, options, this);
    this.sending = new Sending(this.#host, (code, about, retryable) =>
      this.#error(code, about, retryable),
    );
  }

  get closed(): boolean {
    return this.status.state === "closed";
  }

  /** What has ended the session, said of what is asked of it. */
  ended(about: string): TidewireError | undefined {
    const { reason = "closed", detail } = this.status;
    return this.closed ? endedBy(reason, about, this.#cause, detail) : undefined;
  }

  connect(): void {
    this.#host.begin();
    this.#host.probe(Call.Connect);
  }

  ping(): Promise<number> {
    return this.#host.ping();
  }

  publish(member: Member, ...message: Outgoing): Publication {
    const promise = new Publication(this.outgoing.following);
    const entry = this.outgoing.add(member, ...message, promise);
    this.#host.begin();
    this.#host.tell((engine) => this.#hand(engine, entry));
    return promise;
  }

  /** Of which the hub takes all or none. */
  publishBatch(member: Member, messages: readonly Outgoing[]): Publication<Published[]> {
    const { outgoing } = this;
    const batch = { first: outgoing.following, count: messages.length, unplaced: 0 };
    const [promise, members] = gather(batch.first, batch.count);
    const entries = messages.map((message, index) =>
      outgoing.add(member, ...message, members[index] as Settling, batch),
    );
    this.#host.begin();
    this.#host.tell((engine) => this.#handAll(engine, entries));
    return promise;
  }

  cancel(id: number): void {
    const entry = this.outgoing.entryOf(id);
    if (!entry) return;
    // Without an engine, one that was sent is withdrawn when the next one knows of it: it may have landed.
    entry.withdrawn = true;
    if (this.#host.running) this.#host.tell((engine) => engine.tell(Call.Cancel, id));
    else if (!entry.seq) this.#drop(entry, "cancelled", false);
  }

  /** With an error it ends before it begins: later, so that whoever subscribes can first say how to hear of it. */
  subscribe(listener: Reader, error?: TidewireError): void {
    this.#subscribed.add(listener);
    if (error) {
      queueMicrotask(() => this.unsubscribe(listener, error, error));
      return;
    }
    this.#host.begin();
    this.#host.tell((engine) => this.#introduce(engine, listener));
  }

  /** Has a listener told when it has caught up; one that the engine does not know says so itself. */
  pursue({ number }: Listener): void {
    if (number) this.#host.tell((engine) => engine.tell(Call.CatchUp, number));
  }

  /** Ends a reader by the application's wish, or since its client has ended, which is told already. */
  unsubscribe(listener: Reader, reason: unknown, ended?: TidewireError): void {
    if (!this.#forget(listener)) return;
    listener.end(reason, ended, true);
    if (listener.number) {
      this.#host.tell((engine) => engine.tell(Call.Unsubscribe, listener.number));
    }
  }

  settled(listener: Listener, bytes: number): void {
    listener.settledMessages++;
    listener.settledBytes += bytes;
    if (!this.#byNumber.has(listener.number)) return;
    this.#settled.add(listener);
    if (!this.#host.busy) this.taken();
  }

  /** A member is gone, and with it what it published; the last one ends the session. */
  leave(member: Member): void {
    this.members.delete(member);
    if (this.closed) return;
    if (!this.members.size) {
      // Updates that went still go; what is published would land, and be told to have failed.
      if (!this.outgoing.count) this.#host.drain();
      this.sending.orphaned();
      this.#host.tell((engine) => engine.tell(Call.Close));
      this.#host.drain();
      if (!this.closed) this.#setStatus({ state: "closed" });
      return;
    }
    for (const entry of this.outgoing.all()) {
      if (entry.publisher !== member) continue;
      entry.fail(new TidewireError("closed", entry.about), true);
      this.cancel(entry.id);
    }
    this.outgoing.release(member);
    this.sending.leave(member);
  }

  boot(engine: Engine): void {
    for (const listener of this.#subscribed) this.#introduce(engine, listener);
    this.#handAll(engine, this.outgoing.all());
    this.sending.boot();
  }

  payload(id: number, seq: number): Uint8Array | undefined {
    const entry = this.outgoing.entryOf(id);
    if (entry) entry.seq = seq;
    return entry?.payload;
  }

  take(rows: Rows, frame: Uint8Array): void {
    for (let row = 0; row < rows.count && !this.closed; row++) {
      const listener = this.#byNumber.get(rows.upper(row, 0));
      switch (rows.lower(row, 0)) {
        case Kind.Message:
          listener?.give(readings.messageOf(rows, row, frame, listener.name));
          break;
        case Kind.Gap:
          listener?.give(readings.gapOf(rows, row));
          break;
        case Kind.Page:
        case Kind.Ready:
          if (listener && rows.lower(row, 0) === Kind.Page) this.#forget(listener);
          listener?.begin(readings.readyOf(rows, row), rows.lower(row, 1));
          break;
        case Kind.CaughtUp:
          listener?.caught();
          break;
        case Kind.Deadline:
          this.#doubt(rows.upper(row, 0) > 0);
          break;
        case Kind.Refused:
          if (listener) this.#refuse(listener, ...readings.refusalOf(rows, row));
          break;
        case Kind.Published:
        case Kind.Failed:
          this.#settle(rows, row);
          break;
        case Kind.Unsendable:
          this.sending.unsendable(rows.upper(row, 0), ...readings.refusalOf(rows, row));
          break;
        case Kind.Said:
          this.#sentences.set(codeOf(rows.lower(row, 1)), readings.textOf(rows, row, frame));
          break;
        case Kind.Status:
          this.#setStatus(readings.statusOf(rows, row));
          break;
      }
    }
  }

  /** The engine mostly has nothing to do then, and a drain with every message would be dear. */
  taken(): void {
    this.#host.ask((engine) => {
      for (const listener of this.#settled) {
        const { number, settledMessages, settledBytes } = listener;
        const isWanted = engine.tell(Call.Settled, number, settledMessages, settledBytes);
        if (isWanted) this.#host.drainSoon();
        listener.settledMessages = listener.settledBytes = 0;
      }
    });
    this.#settled.clear();
  }

  orphaned(): void {
    this.#settled.clear();
    this.#byNumber.clear();
    this.sending.orphaned();
    for (const listener of this.#subscribed) listener.orphan();
  }

  restarts(cause: unknown): void {
    const [reason, detail] = ["engine_failed", wordsOf(cause)] as const;
    const isTold = this.#setStatus({ state: "offline", reason, detail, retryAt: Date.now() });
    this.#report(new TidewireError(reason, shownUrl(this.url), true, cause, detail), isTold);
  }

  failed(thrown: unknown): void {
    if (this.closed) return;
    const error =
      thrown instanceof TidewireError
        ? thrown
        : new TidewireError("engine_failed", "", false, thrown, wordsOf(thrown));
    this.#cause = error.cause;
    this.#setStatus({ state: "closed", reason: error.code, detail: error.detail });
  }

  lost(end: LinkEnd): void {
    this.#lost = end;
  }

  tokenless(cause: unknown): void {
    this.#sentences.set("no_token", wordsOf(cause));
    // Else the status says so.
    if (this.status.state !== "online") return;
    this.#report(this.#error("no_token", shownUrl(this.url), true, cause), false);
  }

  /** Whether a connection that seems to be up is in doubt, by the engine's word. */
  #doubt(isDoubted: boolean): void {
    if (!this.status.probing === !isDoubted) return;
    const { probing: _, ...status } = this.status;
    this.#tellStatus(isDoubted ? { ...status, probing: true } : status);
  }

  #introduce(engine: Engine, listener: Reader): void {
    const number = listener.introduce(engine);
    if (number < 0) {
      // Later, so that whoever subscribes can first say how to hear of it.
      queueMicrotask(() => this.#refuse(listener, ...refusal(number)));
      return;
    }
    listener.number = number;
    this.#byNumber.set(number, listener);
  }

  #handAll(engine: Engine, entries: readonly Entry[]): void {
    let batch: Batch | undefined;
    let answer = 0;
    for (const entry of entries) {
      if (entry.batch !== batch) {
        batch = entry.batch;
        answer = batch ? engine.tell(Call.Batch, batch.first, batch.count, batch.unplaced) : 0;
        if (batch) batch.unplaced = -1;
      }
      if (answer < 0) this.#drop(entry, ...refusal(answer));
      else this.#hand(engine, entry);
      if (entry.withdrawn) engine.tell(Call.Cancel, entry.id);
    }
  }

  #hand(engine: Engine, entry: Entry): void {
    const answer = engine.publish(entry);
    if (answer < 0) this.#drop(entry, ...refusal(answer));
  }

  #settle(rows: Rows, row: number): void {
    const entry = this.outgoing.entryOf(rows.number(row, 3));
    if (!entry) return;
    if (rows.lower(row, 0) === Kind.Published) {
      this.outgoing.remove(entry);
      entry.promise.succeed(readings.publishedOf(rows, row));
    } else {
      this.#drop(entry, ...readings.refusalOf(rows, row), readings.currentOf(rows, row));
    }
  }

  /** An entry has failed for good. */
  #drop(entry: Entry, code: ErrorCode, retryable: boolean, current?: Position): void {
    this.outgoing.remove(entry);
    const error = this.#error(code, entry.about, retryable, undefined, current);
    entry.fail(error, code === "cancelled");
  }

  /** The reader has ended; whether it had not before. */
  #forget(listener: Reader): boolean {
    this.#byNumber.delete(listener.number);
    this.#settled.delete(listener as Listener);
    return this.#subscribed.delete(listener);
  }

  /** The engine or the hub will not have the reader any longer. */
  #refuse(listener: Reader, code: ErrorCode, retryable: boolean): void {
    if (!this.#forget(listener)) return;
    const error = this.#error(code, listener.about, retryable);
    listener.end(error, error);
  }

  /** In the hub's words, where it said some. */
  #error(code: ErrorCode, about: string, ...more: [boolean, unknown?, Position?]): TidewireError {
    return errorOf(code, about, this.#sentences.get(code), ...more);
  }

  /** Whether anyone hears it. */
  #setStatus(status: Omit<Status, "storage">): boolean {
    const { state } = status;
    if (state === "online") {
      this.#attempts = 0;
      this.sending.online();
    }
    if (state === "connecting") this.#attempts++;
    // What is being tried again failed for that.
    let { reason, detail } = state === "connecting" ? this.status : status;
    if (reason === "link_lost") reason = this.#lost.reason ?? reason;
    // A hub closes with the code's name, and has said more before.
    if (reason && this.#lost.detail !== reason) detail ??= this.#lost.detail;
    if (reason) detail ??= this.#sentences.get(reason);
    if (state !== "connecting") this.#lost = {};
    const isTold = this.#tellStatus({
      ...status,
      ...(reason && { reason }),
      ...(detail && { detail }),
      ...(this.#attempts > 0 && { attempts: this.#attempts }),
      storage: "memory",
    });
    if (state === "closed") this.#finish(isTold);
    return isTold;
  }

  #tellStatus(status: Status): boolean {
    this.status = status;
    return this.#tell("status", status);
  }

  #tell<E extends keyof ClientEvents>(event: E, value?: ClientEvents[E]): boolean {
    return [...this.members].filter((member) => member.tell(event, value)).length > 0;
  }

  /** Tells of an error; where nobody listens, and nothing else has told of it, the console must do. */
  #report(error: TidewireError, isTold: boolean): void {
    if (!this.#tell("error", error) && !isTold) console.error(error);
  }

  #outboxChanged(): void {
    if (this.#isOutboxDue) return;
    this.#isOutboxDue = true;
    queueMicrotask(() => {
      this.#isOutboxDue = false;
      this.#tell("outbox");
    });
  }

  /** Nothing comes any more: whatever still waits hears why. */
  #finish(isTold: boolean): void {
    this.#host.end();
    this.sending.orphaned();
    const isWish = !this.status.reason;
    for (const entry of this.outgoing.all()) {
      this.outgoing.remove(entry);
      entry.fail(this.ended(entry.about) as TidewireError, true);
    }
    for (const listener of [...this.#subscribed]) {
      this.#forget(listener);
      const error = this.ended(listener.about);
      if (listener.end(error, isWish ? undefined : error, true)) isTold = true;
    }
    if (!isWish) this.#report(this.ended(shownUrl(this.url)) as TidewireError, isTold);
  }
}
