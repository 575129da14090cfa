// Whether a link that seems to be up is: the hub is asked for a sign of life, and a link that gives none is dead.

import { now } from "./engine/engine.js";
import { heartbeatAsked } from "./engine/words.js";
import { TidewireError } from "./errors.js";

export interface PulseEvents {
  send(bytes: Uint8Array<ArrayBuffer>): void;
  /** Nothing came for as long as one can wait. */
  dead(): void;
  /** Whether the link is in doubt. */
  doubted(isDoubted: boolean): void;
}

/** A question that is not answered yet. */
interface Beat {
  readonly request: number;
  readonly at: number;
  readonly waits: { resolve(ms: number): void; reject(error: TidewireError): void }[];
  timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether anything came since the timer was set. */
  heard: boolean;
}

export class Pulse {
  readonly #events: PulseEvents;
  #isOnline = false;
  #isDoubted = false;
  #beat: Beat | undefined;
  #lastRequest = 0;

  constructor(events: PulseEvents) {
    this.#events = events;
  }

  /** Whether there is a link to ask on. */
  get online(): boolean {
    return this.#isOnline;
  }

  /** Whatever was doubted before: the status that follows tells of it. */
  set online(isOnline: boolean) {
    this.#isOnline = isOnline;
    if (isOnline) return;
    this.#isDoubted = false;
    for (const { reject } of this.#beat?.waits.splice(0) ?? []) reject(lost());
    this.#settle();
  }

  /** Finds out whether the link is what it seems. */
  doubt(): void {
    this.#ask();
    if (this.#isDoubted) return;
    this.#isDoubted = true;
    this.#events.doubted(true);
  }

  /** Milliseconds to the hub and back. */
  ping(): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#isOnline) this.#ask().waits.push({ resolve, reject });
      else reject(lost());
    });
  }

  /** Something came, with answers to these requests. */
  heard(requests: readonly number[]): void {
    const beat = this.#beat;
    if (!beat) return;
    beat.heard = true;
    if (requests.includes(beat.request)) {
      for (const { resolve } of beat.waits.splice(0)) resolve(now() - beat.at);
    }
    if (!beat.waits.length) this.#settle();
    if (!this.#isDoubted) return;
    this.#isDoubted = false;
    this.#events.doubted(false);
  }

  #ask(): Beat {
    if (this.#beat) return this.#beat;
    const request = (this.#lastRequest % 127) + 1;
    this.#lastRequest = request;
    this.#beat = { request, at: now(), waits: [], timer: undefined, heard: false };
    this.#watch(this.#beat);
    this.#events.send(heartbeatAsked(request));
    return this.#beat;
  }

  #watch(beat: Beat): void {
    const begin = Date.now();
    beat.heard = false;
    beat.timer = setTimeout(() => {
      // Who slept meanwhile has heard nothing either way.
      if (beat.heard || Date.now() - begin > 2 * patience) this.#watch(beat);
      else this.#events.dead();
    }, patience);
  }

  #settle(): void {
    clearTimeout(this.#beat?.timer);
    this.#beat = undefined;
  }
}

function lost(): TidewireError {
  return new TidewireError("link_lost", "ping", true, undefined, "there is no connection");
}

/** How long a link that is in doubt may be silent, milliseconds. */
const patience = 4_000;
