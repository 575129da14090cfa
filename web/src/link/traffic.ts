// Every message that this page receives passes here and is counted.

import type { Message } from "@tidewire/client";
import type { Outages } from "./outages";

export class Traffic {
  /** Where the page is in each topic. */
  readonly positions = new Map<string, { readonly epoch: string; readonly offset: number }>();
  readonly #outages: Outages;
  readonly #arrivals: number[] = [];

  constructor(outages: Outages) {
    this.#outages = outages;
  }

  /** Counts a message; whether it was published, by others, while there was no link. */
  heard({ topic, epoch, offset, publishedAt }: Message, isOwn = false): boolean {
    this.#arrivals.push(performance.now());
    this.positions.set(topic, { epoch, offset });
    return !isOwn && this.#outages.heard(topic, publishedAt);
  }

  /** Messages per second, over the last few. */
  get rate(): number {
    const since = performance.now() - RATE_MS;
    while ((this.#arrivals[0] ?? since) < since) this.#arrivals.shift();
    return this.#arrivals.length / (RATE_MS / 1_000);
  }
}

const RATE_MS = 3_000;
