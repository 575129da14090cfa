// The table in the package's README: what runs where.

import { readFileSync, writeFileSync } from "node:fs";

const BEGIN = "<!-- runtimes: begin -->";
const END = "<!-- runtimes: end -->";

/** Puts the results between the marks of a document. */
export function write(path, results) {
  const { head, tail } = parts(path);
  writeFileSync(path, `${head}${BEGIN}\n${table(results)}${END}${tail}`);
}

/** What a document's table claims: its rows without versions and sizes, which differ from machine to machine. */
export function claimsOf(path) {
  return cellsOf(path).map(([name, version, proves]) =>
    claim({ name, proves, isTested: version !== NOT_TESTED }),
  );
}

/** The sizes in a document's table, by row. */
export function sizesOf(path) {
  const sizes = cellsOf(path).map(([name, , , bytes]) => [name, Number(bytes.replaceAll(",", ""))]);
  return new Map(sizes.filter(([, bytes]) => bytes > 0));
}

function cellsOf(path) {
  const lines = parts(path)
    .between.split("\n")
    .filter((line) => line.startsWith("| "));
  return lines.slice(1).map((line) => {
    const [, ...cells] = line.split("|").map((cell) => cell.trim());
    return cells;
  });
}

export const claim = ({ name, proves, isTested }) =>
  isTested ? `${name}: ${proves}` : `${name}: ${NOT_TESTED}`;

export function table(results) {
  const rows = results.map(({ name, proves, version = NOT_TESTED, bytes }) =>
    [name, version, proves, bytes?.toLocaleString("en") ?? ""].join(" | "),
  );
  const head = "| where | version | what ran | bytes, `gzip -9` |\n|---|---|---|---:|\n";
  return head + rows.map((row) => `| ${row} |\n`).join("");
}

function parts(path) {
  const [, head, between, tail] =
    new RegExp(`^([^]*)${BEGIN}([^]*)${END}([^]*)$`).exec(readFileSync(path, "utf8")) ?? [];
  if (head === undefined) throw new Error(`${path} has no ${BEGIN} … ${END}`);
  return { head, between, tail };
}

const NOT_TESTED = "not tested";
