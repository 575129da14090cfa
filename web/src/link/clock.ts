// The hub's clock, and how long a message takes: the page publishes to itself once a second and looks.

import type { Client } from "@tidewire/client";
import type { DemoTopics } from "../topics";

export class HubClock {
  readonly #round: number[] = [];
  #skewMs: number | undefined;

  /** Milliseconds since 1970 by the hub's clock, as far as this page can tell. */
  now(): number {
    return Date.now() + (this.#skewMs ?? 0);
  }

  /** From `publish` to the handler, the median of the last few; `undefined` before the first. */
  get latencyMs(): number | undefined {
    const sorted = this.#round.toSorted((a, b) => a - b);
    return sorted[sorted.length >> 1];
  }

  /** Starts to measure. */
  start(tide: Client<DemoTopics>, visitorId: string): void {
    const topic = tide.topic(`demo.ping.${visitorId}`);
    topic.subscribe(({ data, publishedAt }) => this.#heard(data.sentAt, publishedAt));
    setInterval(() => {
      // A ping that waits for the link would measure the outage.
      if (tide.status.state !== "online" || document.hidden) return;
      topic.publish({ sentAt: performance.now() }).catch(() => {});
    }, PING_MS);
  }

  #heard(sentAt: number, publishedAt: number): void {
    const roundMs = performance.now() - sentAt;
    this.#round.push(roundMs);
    if (this.#round.length > ROUNDS_KEPT) this.#round.shift();
    const skewMs = publishedAt - (Date.now() - roundMs / 2);
    this.#skewMs = this.#skewMs === undefined ? skewMs : this.#skewMs * 0.8 + skewMs * 0.2;
  }
}

const PING_MS = 1_000;
const ROUNDS_KEPT = 9;
