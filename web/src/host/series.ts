// The last minutes of one machine, in the columns that the charts draw.

import type { HostSample } from "../topics";

/** Names of the columns beside the time. */
export type Column =
  | "cpu"
  | "memory"
  | "diskRead"
  | "diskWritten"
  | "networkReceived"
  | "networkSent";

export class HostSeries {
  /** Seconds since 1970 by the hub's clock. */
  readonly seconds: number[] = [];
  /** A hole that was told breaks the lines: no value. */
  readonly columns: Record<Column, (number | null)[]> = {
    cpu: [],
    memory: [],
    diskRead: [],
    diskWritten: [],
    networkReceived: [],
    networkSent: [],
  };
  /** Whether the sample came after an outage in which it was published. */
  readonly resumed: boolean[] = [];
  latest: HostSample | undefined;

  add(sample: HostSample, publishedAt: number, resumed: boolean): void {
    this.latest = sample;
    const { cpu, memory, disk, network } = sample;
    this.#push(publishedAt / 1_000, resumed, {
      cpu,
      memory: memory.used,
      diskRead: disk.read,
      diskWritten: disk.written,
      networkReceived: network.received,
      networkSent: network.sent,
    });
  }

  /** Samples are gone: what comes next is not joined to what was before. */
  breakLines(): void {
    const last = this.seconds.at(-1);
    if (last !== undefined) this.#push(last, false, undefined);
  }

  #push(second: number, resumed: boolean, values: Record<Column, number> | undefined): void {
    this.seconds.push(second);
    this.resumed.push(resumed);
    for (const [name, column] of Object.entries(this.columns)) {
      column.push(values?.[name as Column] ?? null);
    }
    if (this.seconds.length <= SAMPLES_MAX) return;
    for (const column of [this.seconds, this.resumed, ...Object.values(this.columns)])
      column.shift();
  }
}

/** What is seen of the past. */
export const SHOWN_SECONDS = 300;
/** A little more than is shown, so that lines run out of the picture. */
const SAMPLES_MAX = SHOWN_SECONDS + 20;
