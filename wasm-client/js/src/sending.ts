// Updates that may be lost: each goes to the engine at once. Only while there is no engine yet do some wait here. Whoever
// sends them hears of topics that the hub refuses, and how many were lost on this side.

import type { Besides } from "./besides.js";
import { now } from "./engine/engine.js";
import { codeOf } from "./engine/faults.js";
import { Call, Fate } from "./engine/tables.js";
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
  readonly topic: string;
  /** None if it has left: the engine may still name its topic by this, and whoever sends there next takes its place. */
  sender: Sender | undefined;
  /** Refusals that were told on this connection. */
  readonly told: Set<ErrorCode>;
  /** Updates that are neither lost nor with the link. */
  waiting: number;
}

interface Update {
  readonly route: Route;
  readonly content: number;
  readonly payload: Uint8Array;
  readonly besides: Besides | undefined;
  /** Not after that. */
  readonly until: number;
}

type MakeError = (code: ErrorCode, about: string, retryable: boolean) => TidewireError;

export class Sending {
  readonly #host: Host;
  readonly #error: MakeError;
  #queue: Update[] = [];
  /** By topic, the one that was sent to last at the end. */
  readonly #topics = new Map<string, Route[]>();
  /** The same by number. */
  readonly #routes = new Map<number, Route>();
  /** Where updates have gone that the link has not got yet. */
  #gone: Route[] = [];
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
    besides: Besides | undefined,
  ): boolean {
    const route = this.#route(sender, topic);
    const update = { route, content, payload, besides, until: now() + expiresMs };
    this.#host.begin();
    route.waiting++;
    if (this.#host.running) {
      const answer = this.#hand(update, expiresMs);
      this.#host.drainSoon();
      if (answer) this.#keep(route);
      if (answer < 0) this.#tell(route, ...refusal(answer));
      return answer > 0;
    }
    if (!expiresMs || size(update) > waitingBytesMax) {
      settle(route, true);
      return false;
    }
    this.#keep(route);
    this.#queue.push(update);
    // The oldest is worth least.
    while (this.#queue.reduce((sum, one) => sum + size(one), 0) > waitingBytesMax) {
      settle((this.#queue.shift() as Update).route, true);
    }
    return true;
  }

  boot(): void {
    for (const update of this.#queue.splice(0)) {
      this.#hand(update, Math.max(0, update.until - now()));
    }
  }

  /** One that waited has gone, or was dropped. */
  settled(number: number, dropped: boolean): void {
    settle(this.#routes.get(number), dropped);
  }

  /** The link has got all that went. */
  drained(): void {
    for (const route of this.#gone) settle(route, false);
    this.#gone = [];
  }

  /** The hub takes none for the topic of a route. */
  unsendable(number: number, code: ErrorCode, retryable: boolean): void {
    const topic = this.#routes.get(number)?.topic ?? "";
    for (const route of this.#topics.get(topic) ?? []) this.#tell(route, code, retryable);
  }

  /** A client is gone, and what it has waiting with it. */
  leave(sender: Sender): void {
    const routes = [...this.#routes.values()].filter((route) => route.sender === sender);
    this.#queue = this.#queue.filter(({ route }) => route.sender !== sender);
    for (const { number, waiting } of routes) {
      if (waiting) this.#host.ask((engine) => engine.tell(Call.Withdraw, number));
    }
    // The engine says now what it has dropped; where there is none, all is.
    if (routes.length) this.#host.drain();
    for (const route of routes) {
      lose(route);
      route.told.clear();
      route.sender = undefined;
    }
  }

  /** The connection is another one. */
  online(): void {
    for (const { told } of this.#routes.values()) told.clear();
  }

  /** The engine is gone, or all is over: what waits is lost. */
  orphaned(): void {
    this.#queue = [];
    this.#gone = [];
    for (const route of this.#routes.values()) lose(route);
  }

  /** A new one is not kept yet. */
  #route(sender: Sender, topic: string): Route {
    const routes = this.#topics.get(topic) ?? [];
    const of = (sender?: Sender) => routes.find((route) => route.sender === sender);
    const route = of(sender) ??
      of() ?? { number: ++this.#lastNumber, topic, sender, told: new Set(), waiting: 0 };
    route.sender = sender;
    return route;
  }

  /** The engine may name it from now on. The topic that nobody sent to for longest is forgotten if there are too many. */
  #keep(route: Route): void {
    const { number, topic } = route;
    const routes = this.#topics.get(topic) ?? [];
    if (!this.#routes.has(number)) {
      this.#routes.set(number, route);
      routes.push(route);
    }
    this.#topics.delete(topic);
    this.#topics.set(topic, routes);
    if (this.#topics.size <= topicsMax) return;
    for (const [topic, routes] of this.#topics) {
      if (routes.some(({ waiting }) => waiting)) continue;
      this.#topics.delete(topic);
      for (const { number } of routes) this.#routes.delete(number);
      return;
    }
  }

  /** The engine's answer; that of one which stops meanwhile is that it is lost. */
  #hand({ route, content, payload, besides }: Update, expiresMs: number): number {
    const { number, topic } = route;
    const answer =
      this.#host.ask((engine) =>
        engine.send(topic, content + 8 * number, payload, expiresMs, besides),
      ) ?? 0;
    if (answer === Fate.Gone) this.#gone.push(route);
    if (answer <= 0) settle(route, true);
    return answer;
  }

  #tell({ sender, topic, told }: Route, code: ErrorCode, retryable: boolean): void {
    if (!sender || told.has(code)) return;
    told.add(code);
    sender.report(this.#error(code, `send to ${topic}`, retryable));
  }
}

/** The engine refuses with minus twice a fault, less one if trying again can help. */
export function refusal(answer: number): [code: ErrorCode, retryable: boolean] {
  return [codeOf(-answer >> 1), (-answer & 1) > 0];
}

/** One that waited has gone, or was dropped. */
function settle(route: Route | undefined, dropped: boolean): void {
  if (!route?.waiting) return;
  route.waiting--;
  if (dropped && route.sender) route.sender.sendsDropped++;
}

/** Whatever waits is lost. */
function lose(route: Route): void {
  while (route.waiting) settle(route, true);
}

/** What one takes, roughly. */
const size = ({ payload }: Update) => 64 + payload.length;
/** As the engine itself would keep. */
const waitingBytesMax = 1 << 16;
/**
 * The engine names 1,024 topics on this connection and those on which something waits, 1,024 again. Between the first of
 * them and now, as many others may have been sent to.
 */
const topicsMax = 4_096;
