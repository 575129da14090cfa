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
  const head = [
    "thousand messages/s (CPU us a message) [messages a frame]",
    ...libraries,
    "ours over the best (range)",
  ];
  const lines = ROWS.map((row) => results.filter((result) => result.row.name === row.name))
    .filter((own) => own.length)
    .map((own) => [own[0].row.name, ...libraries.map((name) => cell(own, name)), overBest(own)]);
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
  const gathered =
    result.row.task === "receive" && result.perFrame > 1 ? ` [${short(result.perFrame)}]` : "";
  return `${short(rate)} (${short(median(result.rounds.map(cpuOf)))})${gathered}`;
}

/** Our CPU over that of the library where it is greatest: the median over rounds, and between what it ranged. */
function overBest(results) {
  const ours = results.find(({ library }) => library === "tidewire");
  const others = results.filter(({ library }) => library !== "tidewire" && library !== "bare");
  if (!ours || !others.length) return "";
  const [worst] = others
    .map((theirs) => ({ library: theirs.library, ratios: ratiosOf(ours, theirs) }))
    .sort((a, b) => median(b.ratios) - median(a.ratios));
  const range = `${Math.min(...worst.ratios).toFixed(2)} to ${Math.max(...worst.ratios).toFixed(2)}`;
  return `${median(worst.ratios).toFixed(2)} (${range}) ${worst.library}`;
}

/** Ours over theirs, in each round. */
function ratiosOf(ours, theirs) {
  const rounds = Math.min(ours.rounds.length, theirs.rounds.length);
  const ratioIn = (_, round) => cpuOf(ours.rounds[round]) / cpuOf(theirs.rounds[round]);
  return Array.from({ length: rounds }, ratioIn);
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
