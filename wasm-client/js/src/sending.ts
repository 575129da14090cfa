// Updates that may be lost: each goes to the engine at once. Only while there is no engine yet do some wait here. Whoever
// sends them hears of topics that the hub refuses, and how many were lost on this side.

import { type Engine, now } from "./engine/engine.js";
import { codeOf } from "./engine/faults.js";
import type { ErrorCode, TidewireError } from "./errors.js";
import type { Host } from "./host.js";

/** A client, as far as it sends. */
export interface Sender {
  /** Its updates that were lost on this side. */
  sendsDropped: number;
  report(error: TidewireError): void;
}

/** A client's way to a topic. */
interface Route {
  /** By which the engine tells of it. */
  readonly number: number;
  readonly sender: Sender;
  readonly topic: string;
  /** Refusals that were told on this connection. */
  readonly told: Set<ErrorCode>;
  /** Updates that may still go. */
  waiting: number;
}

interface Update {
  readonly route: Route;
  readonly content: number;
  readonly payload: Uint8Array;
  /** Not after that. */
  readonly until: number;
}

type MakeError = (code: ErrorCode, about: string, retryable: boolean) => TidewireError;

export class Sending {
  readonly #host: Host;
  readonly #error: MakeError;
  #queue: Update[] = [];
  /** The newest, and those on which something waits. */
  #routes: Route[] = [];
  #lastNumber = 0;

  constructor(host: Host, error: MakeError) {
    this.#host = host;
    this.#error = error;
  }

  /** Whether it went, or waits. */
  send(
    sender: Sender,
    topic: string,
    content: number,
    payload: Uint8Array,
    expiresMs: number,
  ): boolean {
    const route = this.#route(sender, topic);
    const update = { route, content, payload, until: now() + expiresMs };
    this.#host.begin();
    route.waiting++;
    if (this.#host.running) {
      const answer = this.#host.ask((engine) => this.#hand(engine, update, expiresMs)) ?? 0;
      this.#host.drainSoon();
      if (answer < 0) this.#tell(route, ...refusal(answer));
      return answer > 0;
    }
    const isKept = expiresMs > 0 && size(update) <= waitingBytesMax;
    if (isKept) this.#queue.push(update);
    else this.settled(route.number, true);
    // The oldest is worth least.
    while (this.#queue.reduce((sum, one) => sum + size(one), 0) > waitingBytesMax) {
      this.settled((this.#queue.shift() as Update).route.number, true);
    }
    return isKept;
  }

  boot(engine: Engine): void {
    for (const update of this.#queue.splice(0)) {
      this.#hand(engine, update, Math.max(0, update.until - now()));
    }
  }

  /** One that waited has gone, or was dropped. */
  settled(number: number, dropped: boolean): void {
    const route = this.#find(number);
    if (!route?.waiting) return;
    route.waiting--;
    if (dropped) route.sender.sendsDropped++;
  }

  /** The hub takes none for the topic of a route. */
  refused(number: number, code: ErrorCode, retryable: boolean): void {
    const topic = this.#find(number)?.topic;
    for (const route of this.#routes) {
      if (route.topic === topic) this.#tell(route, code, retryable);
    }
  }

  /** A client is gone; what it has waiting is still counted. */
  leave(sender: Sender): void {
    this.#routes = this.#routes.filter((route) => route.sender !== sender || route.waiting);
  }

  /** The connection is another one. */
  online(): void {
    for (const { told } of this.#routes) told.clear();
  }

  /** The engine is gone, or all is over: what waits is lost. */
  orphaned(): void {
    this.#queue = [];
    for (const route of this.#routes) {
      route.sender.sendsDropped += route.waiting;
      route.waiting = 0;
    }
  }

  #find(number: number): Route | undefined {
    return this.#routes.find((route) => route.number === number);
  }

  #route(sender: Sender, topic: string): Route {
    let route = this.#routes.find((route) => route.sender === sender && route.topic === topic);
    if (!route) {
      route = { number: ++this.#lastNumber, sender, topic, told: new Set(), waiting: 0 };
      this.#routes.push(route);
      if (this.#routes.length > routesMax) {
        this.#routes.splice(
          this.#routes.findIndex(({ waiting }) => !waiting),
          1,
        );
      }
    }
    return route;
  }

  /** The engine's answer. */
  #hand(engine: Engine, { route, content, payload }: Update, expiresMs: number): number {
    const { number, topic } = route;
    const answer = engine.send(topic, content + 8 * number, payload, expiresMs);
    if (answer !== waits) this.settled(number, answer <= 0);
    return answer;
  }

  #tell({ sender, topic, told }: Route, code: ErrorCode, retryable: boolean): void {
    if (told.has(code)) return;
    told.add(code);
    sender.report(this.#error(code, `send to ${topic}`, retryable));
  }
}

/** The engine refuses with minus twice a fault, less one if trying again can help. */
export function refusal(answer: number): [code: ErrorCode, retryable: boolean] {
  return [codeOf(-answer >> 1), (-answer & 1) > 0];
}

/** What one takes, roughly. */
const size = ({ payload }: Update) => 64 + payload.length;
/** As the engine itself would keep. */
const waitingBytesMax = 1 << 16;
/** More than can have something waiting: 1,024 here, and as many in the engine. */
const routesMax = 4_096;
/** The engine's answer. */
const waits = 2;
