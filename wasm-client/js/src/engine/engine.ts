// The wasm instance, spoken to in TypeScript's terms. It holds a state machine and nothing else: what it
// wants done it writes into a table, which is read after the call.

import type { Wasm } from "#wasm";
import type { Besides } from "../besides.js";
import type { From, OutboxOptions, Position, SubscribeOptions } from "../types.js";
import { toUtf8 } from "../utf8.js";
import { Rows, width } from "./rows.js";
import { Call, slownesses } from "./tables.js";

/**
 * Gives a new engine, which shares nothing with those before it.
 * @internal
 */
export type Loader = () => Promise<Wasm>;

/**
 * The engine of a module.
 * @internal
 */
export async function instantiate(module: WebAssembly.Module): Promise<Wasm> {
  // Numbers are all that crosses the boundary, so there is nothing to import, and no glue.
  const { exports } = await WebAssembly.instantiate(module);
  return exports as unknown as Wasm;
}

/** A publish as the engine is told of it. */
interface Outgoing {
  readonly id: number;
  readonly topic: string;
  readonly content: number;
  readonly payload: Uint8Array;
  readonly besides: Besides | undefined;
  /** That under which an engine before sent it; 0 if none did. */
  readonly seq: number;
}

/** Where a page begins, or below which places it ends. */
export type PageFrom = From | { readonly before: Position | readonly Position[] };

/** Bytes of payload that an outbox takes if nothing else is said. */
const bytesMaxDefault = 1 << 24;

/** Milliseconds on a clock that never goes back. */
export const now = (): number => performance.now();

export class Engine {
  readonly #wasm: Wasm;
  /** A copy of the last rows: the engine may be called while they are read. */
  #halves = new Uint32Array(0);
  #topic = "";
  /** The topic as bytes. */
  #name = new Uint8Array(0);

  /** @internal */
  constructor(wasm: Wasm, producer: BigUint64Array, outbox: OutboxOptions, asks: boolean) {
    this.#wasm = wasm;
    const { maxCount = 10_000, maxBytes = bytesMaxDefault, whenFull } = outbox;
    const [secret = 0n, rest = 0n, incarnation = 0n] = producer;
    const count = Math.min(maxCount, 2 ** 32 - 1);
    const bytes = Math.min(maxBytes, 2 ** 53 - 1);
    wasm.start(secret, rest, incarnation, count, bytes, whenFull === "drop_oldest", asks);
  }

  /** Tells the engine something, now. */
  tell(call: number, a = 0, b = 0, c = 0, d = 0): number {
    return this.#wasm.call(call, now(), a, b, c, d);
  }

  /** Signs in with a token from now on. */
  signIn(token: string): void {
    this.tell(Call.Token, this.#put(toUtf8(token)));
  }

  /** Everything that is to be done by now. */
  drain(): Rows {
    return this.#rows(this.tell(Call.Drain));
  }

  suspend(): Rows {
    this.tell(Call.Suspend);
    return this.drain();
  }

  /** Tells of a WebSocket message; spans in the rows count in it. */
  received(frame: Uint8Array): Rows {
    return this.#rows(this.tell(Call.Received, this.#put(frame)));
  }

  /** Below zero a refusal. */
  publish({ id, topic, content, payload, besides, seq }: Outgoing): number {
    this.#has(besides);
    // Most go where the last one went.
    if (topic !== this.#topic) this.#name = toUtf8(topic);
    this.#topic = topic;
    const name = this.#put(this.#name);
    return this.tell(Call.Publish, name, id, payload.length, content + 8 * seq);
  }

  /** 0 if it was dropped, 1 if it went, 2 if it waits, or below zero a refusal. With the content goes its route. */
  send(
    topic: string,
    content: number,
    payload: Uint8Array,
    expiresMs: number,
    besides: Besides | undefined,
  ): number {
    this.#has(besides);
    const name = toUtf8(topic);
    const input = new Uint8Array(name.length + payload.length);
    input.set(name);
    input.set(payload, name.length);
    this.#put(input);
    return this.tell(Call.Send, name.length, payload.length, expiresMs, content);
  }

  /** The number of the listener, or below zero a refusal. */
  subscribe(name: string, options: SubscribeOptions, from: From): number {
    const { whenSlow = "catch_up", echo } = options;
    const choices = slownesses.indexOf(whenSlow) * 2 + 2 + Number(echo !== false);
    return this.#read(Call.Subscribe, name, from, choices);
  }

  /** The number of the question, or below zero a refusal. */
  history(name: string, from: PageFrom, limit: number): number {
    return this.#read(Call.History, name, from, limit);
  }

  #read(call: number, name: string, from: PageFrom, last: number): number {
    const [kind, amount, positions] = start(from);
    return this.tell(call, this.#putPlaces(name, positions), kind, amount, last);
  }

  /** Tells what the next message has besides its payload. */
  #has(besides: Besides | undefined): void {
    if (!besides) return;
    const [texts, choices, until, version] = besides;
    const ttl = until < Number.POSITIVE_INFINITY ? Math.max(1, Math.ceil(until - now())) : 0;
    this.tell(Call.Besides, this.#putPlaces(texts, version ? [version] : []), choices, ttl);
  }

  /** A text, and places behind it. Gives the bytes of the text. */
  #putPlaces(text: string, positions: readonly Position[]): number {
    const bytes = toUtf8(text);
    const input = new Uint8Array(bytes.length + positions.length * 16);
    input.set(bytes);
    const view = new DataView(input.buffer, bytes.length);
    positions.forEach(({ epoch, offset }, index) => {
      view.setBigUint64(index * 16, BigInt(`0x${epoch}`), true);
      view.setBigUint64(index * 16 + 8, BigInt(offset), true);
    });
    this.#put(input);
    return bytes.length;
  }

  /** A copy of bytes that the engine wrote. */
  bytes(address: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#wasm.memory.buffer.slice(address, address + length) as ArrayBuffer);
  }

  #put(bytes: Uint8Array): number {
    const address = this.#wasm.input(bytes.length);
    new Uint8Array(this.#wasm.memory.buffer).set(bytes, address);
    return bytes.length;
  }

  /** The rows that were given last stay as they are. */
  keep(): void {
    this.#halves = new Uint32Array(0);
  }

  /** They hold until the next are asked for. */
  #rows(count: number): Rows {
    const length = count * width * 2;
    if (this.#halves.length < length) this.#halves = new Uint32Array(length);
    this.#halves.set(new Uint32Array(this.#wasm.memory.buffer, this.#wasm.rows(), length));
    return new Rows(this.#halves, count);
  }
}

/** A start as the engine takes it: which, how many, and after or below which places. */
function start(from: PageFrom): [kind: number, amount: number, positions: readonly Position[]] {
  if (from === "latest") return [0, 0, []];
  if (from === "earliest") return [1, 0, []];
  if ("last" in from) return [2, from.last, []];
  if ("sinceMs" in from) return [3, from.sinceMs, []];
  const isEnd = "before" in from;
  const places = isEnd ? from.before : from;
  const positions = "epoch" in places ? [places] : places;
  return [isEnd ? 5 : 4, positions.length, positions];
}
