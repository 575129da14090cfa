// Updates that may be lost: each goes to the engine at once. Only while there is no engine yet do some wait here.

import { type Engine, now } from "./engine/engine.js";
import { Call } from "./engine/tables.js";
import type { Host } from "./host.js";

interface Update {
  readonly topic: string;
  readonly content: number;
  readonly payload: Uint8Array;
  /** Not after that. */
  readonly until: number;
}

export class Sending {
  readonly #host: Host;
  readonly #waiting: Update[] = [];
  #waitingBytes = 0;
  /** Those that no engine counts, or one that is gone. */
  #dropped = 0;
  /** Those that the engine had counted when it was asked last. */
  #counted = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  /** How many were lost here. */
  get dropped(): number {
    this.#counted = this.#host.ask((engine) => engine.tell(Call.Dropped)) ?? this.#counted;
    return this.#dropped + this.#counted;
  }

  /** 1 if it went or waits, 0 if it was dropped, or below zero a refusal. */
  send(topic: string, content: number, payload: Uint8Array, expiresMs: number): number {
    this.#host.begin();
    if (this.#host.running) {
      const sent = this.#host.ask((engine) => engine.send(topic, content, payload, expiresMs));
      this.#host.drainSoon();
      if (sent !== undefined) return sent;
      expiresMs = 0;
    }
    if (expiresMs > 0) {
      this.#waiting.push({ topic, content, payload, until: now() + expiresMs });
      this.#waitingBytes += size(payload);
      while (this.#waitingBytes > waitingBytesMax) this.#drop();
      return Number(this.#waiting.length > 0);
    }
    this.#dropped++;
    return 0;
  }

  boot(engine: Engine): void {
    for (const { topic, content, payload, until } of this.#waiting.splice(0)) {
      engine.send(topic, content, payload, Math.max(0, until - now()));
    }
    this.#waitingBytes = 0;
  }

  orphaned(): void {
    this.#dropped += this.#counted;
    this.#counted = 0;
  }

  /** The oldest is worth least. */
  #drop(): void {
    this.#waitingBytes -= size((this.#waiting.shift() as Update).payload);
    this.#dropped++;
  }
}

/** What one takes, roughly. */
const size = (payload: Uint8Array) => 64 + payload.length;
/** As the engine itself would keep. */
const waitingBytesMax = 1 << 16;
