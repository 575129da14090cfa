// The machine's charts: the past at once, because the topic keeps it, then every second as it comes.

import type { Client } from "@tidewire/client";
import { byId, write } from "../elements";
import type { HubClock } from "../link/clock";
import type { Outages } from "../link/outages";
import type { Traffic } from "../link/traffic";
import { type DemoTopics, isHostSample } from "../topics";
import { Chart, type ChartPlan } from "./chart";
import { HostSeries, SHOWN_SECONDS } from "./series";
import { bytes, count, duration, percent } from "./units";

export function startHost(
  tide: Client<DemoTopics>,
  clock: HubClock,
  traffic: Traffic,
  outages: Outages,
): void {
  const series = new HostSeries();
  const charts = PLANS.map((plan) => new Chart(plan, series, () => outages.all));
  byId("charts").append(...charts.map(({ element }) => element));
  const draw = () => {
    for (const chart of charts) chart.draw(clock.now() / 1_000);
  };

  const past = new Past();
  const subscription = tide.topic("demo.host").subscribe(
    (message) => {
      const resumed = traffic.heard(message);
      if (!isHostSample(message.data)) return;
      outages.heardSample(message.data.n);
      series.add(message.data, message.publishedAt, resumed);
      past.heard(message.publishedAt);
    },
    { from: { last: SHOWN_SECONDS } },
  );
  subscription.on("gap", (gap) => {
    // Before the first sample, a gap only says that the topic once held more than it keeps.
    if (series.latest === undefined) return;
    outages.gap(gap);
    series.breakLines();
  });

  setInterval(() => document.hidden || draw(), DRAW_MS);
  draw();
}

/** How much of the past there was, and how soon: what a late visitor is to see. */
class Past {
  #samples = 0;
  #lastMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #told = false;

  heard(publishedAt: number): void {
    // Live samples are a second apart; the past comes at once.
    if (this.#told) return;
    if (publishedAt < performance.timeOrigin) {
      this.#samples++;
      this.#lastMs = performance.now();
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tell(), QUIET_MS);
  }

  #tell(): void {
    this.#told = true;
    write(
      "host-past",
      this.#samples === 0
        ? "Once a second. Reload the page: the past will be here at once."
        : `${count(this.#samples, "sample")} from before you came, here ${duration(this.#lastMs)} after this page opened.`,
    );
  }
}

const PLANS: readonly ChartPlan[] = [
  {
    title: "CPU",
    lines: [{ column: "cpu", word: "" }],
    write: percent,
    mark: percent,
    top: () => 1,
  },
  {
    title: "Memory",
    lines: [{ column: "memory", word: "used" }],
    write: bytes,
    mark: bytes,
    top: ({ latest }) => latest?.memory.total ?? 1e9,
  },
  {
    title: "Disk",
    lines: [
      { column: "diskRead", word: "read" },
      { column: "diskWritten", word: "written" },
    ],
    write: (value) => `${bytes(value)}/s`,
    mark: bytes,
    top: (_, highest) => roundUp(Math.max(highest, 100e3)),
  },
  {
    title: "Network",
    lines: [
      { column: "networkReceived", word: "in" },
      { column: "networkSent", word: "out" },
    ],
    write: (value) => `${bytes(value)}/s`,
    mark: bytes,
    top: (_, highest) => roundUp(Math.max(highest, 10e3)),
  },
];

/** The next of 1, 2, 4, 6, 10 times a power of ten: its half is a round number too. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return (STEPS.find((step) => step * power >= value) ?? 10) * power;
}

const STEPS = [1, 2, 4, 6, 10];
const DRAW_MS = 250;
const QUIET_MS = 300;
