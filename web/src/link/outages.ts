// The account of each time without a link: how long it was, what waited, what came back, what is gone.

import type { Gap } from "@tidewire/client";

export interface Outage {
  /** Times by the hub's clock. */
  readonly from: number;
  to: number | undefined;
  /** Whether the visitor cut the link. */
  readonly wasCut: boolean;
  /** The most that waited in the outbox. */
  buffered: number;
  /** Messages that were published by others meanwhile and arrived afterwards, by topic. */
  readonly resumed: Map<string, number>;
  /** What the client told to be gone. */
  readonly gaps: Gap[];
  /** Host samples that are missing by their own numbers although no gap was told: there must be none. */
  missing: number;
}

export class Outages {
  readonly #all: Outage[] = [];
  #lastSample = 0;

  get all(): readonly Outage[] {
    return this.#all;
  }

  get last(): Outage | undefined {
    return this.#all.at(-1);
  }

  begin(now: number, wasCut: boolean): void {
    if (this.last && this.last.to === undefined) return;
    this.#all.push({
      from: now,
      to: undefined,
      wasCut,
      buffered: 0,
      resumed: new Map(),
      gaps: [],
      missing: 0,
    });
    if (this.#all.length > OUTAGES_KEPT) this.#all.shift();
  }

  end(now: number): void {
    if (this.last) this.last.to ??= now;
  }

  waiting(count: number): void {
    const { last } = this;
    if (last && last.to === undefined) last.buffered = Math.max(last.buffered, count);
  }

  /** A message has arrived; whether it was resumed, that is, published while there was no link. */
  heard(topic: string, publishedAt: number): boolean {
    const { last } = this;
    if (last?.to === undefined || publishedAt < last.from || publishedAt > last.to) return false;
    last.resumed.set(topic, (last.resumed.get(topic) ?? 0) + 1);
    return true;
  }

  /** A host sample has arrived. The client is not asked: the publisher counted. */
  heardSample(n: number): void {
    if (this.last && this.#lastSample > 0)
      this.last.missing += Math.max(0, n - this.#lastSample - 1);
    this.#lastSample = n;
  }

  gap(gap: Gap): void {
    this.last?.gaps.push(gap);
    // Numbers need not go on where they were: the gap says so.
    this.#lastSample = 0;
  }
}

/** More than a chart shows. */
const OUTAGES_KEPT = 20;
