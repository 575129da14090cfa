// The results as tables: for the terminal and, the same, for a Markdown file.

import { LIBRARIES, ROWS } from "./rows.mjs";

/** By runtime: a table of messages/s and CPU, medians over rounds. */
export function tables(results) {
  const runtimes = [...new Set(results.map(({ runtime }) => runtime))];
  return runtimes.map((runtime) => {
    const own = results.filter((result) => result.runtime === runtime && result.rounds.length);
    return `### Clients: ${runtime}\n\n${table(own)}`;
  });
}

function table(results) {
  const libraries = LIBRARIES.filter((name) => results.some(({ library }) => library === name));
  const head = ["thousand messages/s (CPU us a message)", ...libraries, "ours over the next"];
  const lines = ROWS.map((row) => results.filter((result) => result.row.name === row.name))
    .filter((own) => own.length)
    .map((own) => [own[0].row.name, ...libraries.map((name) => cell(own, name)), overNext(own)]);
  const widths = head.map((_, column) =>
    Math.max(...[head, ...lines].map((line) => line[column].length)),
  );
  const text = (line) =>
    `| ${line.map((cell, column) => (column ? cell.padStart(widths[column]) : cell.padEnd(widths[0]))).join(" | ")} |`;
  const rule = `|${widths.map((width, column) => `${"-".repeat(width + 1)}${column ? ":" : "-"}`).join("|")}|`;
  return [text(head), rule, ...lines.map(text)].join("\n");
}

function cell(results, library) {
  const result = results.find((one) => one.library === library);
  if (!result) return "";
  const rate = median(result.rounds.map(({ messages, wallMs }) => messages / wallMs));
  return `${short(rate)} (${short(median(result.rounds.map(cpuOf)))})`;
}

/** Our CPU over that of the library that needs least after us, or before us. */
function overNext(results) {
  const ours = results.find(({ library }) => library === "tidewire");
  const ratios = results
    .filter(({ library }) => ours && library !== "tidewire" && library !== "bare")
    .map((theirs) => ({ library: theirs.library, ratio: ratioOf(ours, theirs) }))
    .sort((a, b) => b.ratio - a.ratio);
  return ratios.length ? `${ratios[0].ratio.toFixed(2)} (${ratios[0].library})` : "";
}

/** Ours over theirs in the same round, the median of that. */
export function ratioOf(ours, theirs) {
  const rounds = Math.min(ours.rounds.length, theirs.rounds.length);
  const ratios = Array.from(
    { length: rounds },
    (_, round) => cpuOf(ours.rounds[round]) / cpuOf(theirs.rounds[round]),
  );
  return median(ratios);
}

/** Microseconds of CPU a message. */
function cpuOf({ messages, cpuMs }) {
  return (cpuMs / messages) * 1_000;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

function short(value) {
  return value < 10 ? value.toFixed(1 + (value < 1)) : String(Math.round(value));
}

/** The Markdown text with `section` between the two lines that are for it. */
export function documented(text, section) {
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`the file has no place for it, which begins ${BEGIN}`);
  return `${before}${BEGIN}\n\n${section}\n\n${END}${after}`;
}

const BEGIN =
  "<!-- client results: written by `npm run bench -- --clients --document docs/BENCHMARKS.md` -->";
const END = "<!-- end of client results -->";
