// One chart: a quantity of the machine over the last minutes, with the times without a link shaded.

import uPlot from "uplot";
import { make } from "../elements";
import type { Outage } from "../link/outages";
import { type Column, type HostSeries, SHOWN_SECONDS } from "./series";

export interface ChartPlan {
  readonly title: string;
  /** What is drawn, with the word for it where there are two. */
  readonly lines: readonly { readonly column: Column; readonly word: string }[];
  /** How a value is written, and how a mark of the scale. */
  readonly write: (value: number) => string;
  readonly mark: (value: number) => string;
  /** The upper end of the scale. */
  readonly top: (series: HostSeries, highest: number) => number;
}

export class Chart {
  readonly element = make("figure", "chart");
  readonly #plan: ChartPlan;
  readonly #series: HostSeries;
  readonly #values: HTMLElement[] = [];
  readonly #swatches: HTMLElement[] = [];
  readonly #canvas = make("div", "canvas");
  readonly #plot: uPlot;

  constructor(plan: ChartPlan, series: HostSeries, outages: () => readonly Outage[]) {
    this.#plan = plan;
    this.#series = series;
    this.element.append(this.#caption(), this.#canvas);
    this.#plot = new uPlot(this.#options(outages), this.#data(), this.#canvas);
    new ResizeObserver(([entry]) => {
      if (!entry) return;
      const { width, height } = entry.contentRect;
      if (width > 0) this.#plot.setSize({ width, height });
    }).observe(this.#canvas);
  }

  /** Draws what there is, up to `now` in seconds by the hub's clock. */
  draw(now: number): void {
    this.#plot.batch(() => {
      this.#plot.setData(this.#data(), false);
      this.#plot.setScale("x", { min: now - SHOWN_SECONDS, max: now });
    });
    this.#plan.lines.forEach(({ column }, index) => {
      const value = this.#series.columns[column].at(-1);
      const shown = this.#values[index];
      if (shown) shown.textContent = value == null ? "–" : this.#plan.write(value);
    });
  }

  #caption(): HTMLElement {
    const { title, lines } = this.#plan;
    const caption = make("figcaption");
    caption.append(make("h3", "", title));
    lines.forEach(({ word }, index) => {
      const swatch = make("span", `swatch line-${index}`);
      const value = make("span", "value", "–");
      const reading = make("p", "reading");
      reading.append(swatch, value);
      if (word) reading.append(make("span", "word", word));
      caption.append(reading);
      this.#swatches.push(swatch);
      this.#values.push(value);
    });
    return caption;
  }

  #data(): uPlot.AlignedData {
    const { seconds, columns } = this.#series;
    return [seconds, ...this.#plan.lines.map(({ column }) => columns[column])];
  }

  #options(outages: () => readonly Outage[]): uPlot.Options {
    const { lines, top, mark } = this.#plan;
    const ink = () => getComputedStyle(this.#canvas).color;
    const rule = () => getComputedStyle(this.#canvas).borderTopColor;
    const axis = { stroke: ink, font: FONT, ticks: { show: false }, gap: 6 };
    return {
      width: 320,
      height: 130,
      padding: [8, 16, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: true },
        y: { range: (_, __, highest) => [0, top(this.#series, highest ?? 0)] },
      },
      axes: [
        {
          ...axis,
          size: 20,
          grid: { show: false },
          splits: (plot) => minutesBack(plot),
          values: (plot, splits) => splits.map((at) => sinceNow(plot, at)),
        },
        {
          ...axis,
          size: 50,
          grid: { stroke: rule, width: 1 },
          splits: (_, __, low, high) => [low, (low + high) / 2, high],
          values: (_, splits) => splits.map((at) => (at === 0 ? "0" : mark(at))),
        },
      ],
      series: [{}, ...lines.map((_, index) => this.#line(index))],
      hooks: { drawClear: [(plot) => shade(plot, outages(), this.#canvas)] },
    };
  }

  #line(index: number): uPlot.Series {
    const colour = () => {
      const swatch = this.#swatches[index];
      return swatch ? getComputedStyle(swatch).color : "";
    };
    return {
      stroke: colour,
      width: 1.5,
      // Where two lines run together both are seen.
      ...(index > 0 && { dash: [5, 3] }),
      fill: index === 0 ? () => colour().replace("rgb(", "rgba(").replace(")", ", 0.10)") : "",
      // Only what came after an outage is dotted: the part of the past that was not lost.
      points: {
        show: true,
        size: 4,
        width: 0,
        fill: colour,
        filter: (_, __, show) =>
          show ? this.#series.resumed.flatMap((resumed, at) => (resumed ? [at] : [])) : null,
      },
    };
  }
}

/** Paints the times without a link. */
function shade(plot: uPlot, outages: readonly Outage[], styled: HTMLElement): void {
  const { ctx, bbox } = plot;
  const right = bbox.left + bbox.width;
  ctx.save();
  ctx.fillStyle = getComputedStyle(styled).outlineColor;
  for (const { from, to } of outages) {
    const x = (ms: number) =>
      Math.min(right, Math.max(bbox.left, plot.valToPos(ms / 1_000, "x", true)));
    const [start, end] = [x(from), to === undefined ? right : x(to)];
    if (end > start) ctx.fillRect(start, bbox.top, end - start, bbox.height);
  }
  ctx.restore();
}

function minutesBack(plot: uPlot): number[] {
  const now = plot.scales.x?.max ?? 0;
  return [240, 180, 120, 60, 0].map((back) => now - back);
}

function sinceNow(plot: uPlot, at: number): string {
  const minutes = Math.round(((plot.scales.x?.max ?? at) - at) / 60);
  return minutes === 0 ? "now" : minutes % 2 === 0 ? `−${minutes} min` : "";
}

const FONT = "11px ui-sans-serif, system-ui, sans-serif";
