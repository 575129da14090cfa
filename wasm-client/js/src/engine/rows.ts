// The engine's outputs: rows of twelve 64-bit words. `wasm-client/src/table.rs` writes the same layout.

/** What a row is; the words that follow are told there. */
export const Kind = {
  Deadline: 0,
  OpenLink: 1,
  CloseLink: 2,
  NeedToken: 3,
  Send: 4,
  Splice: 5,
  Status: 6,
  Ready: 7,
  Position: 8,
  Refused: 9,
  Gap: 10,
  Message: 11,
  Published: 12,
  Failed: 13,
} as const;

const width = 12;

/** A copy of the table, so that the engine may be called while it is read. */
export class Rows {
  readonly count: number;
  readonly #numbers: Float64Array;
  readonly #words: BigUint64Array;

  constructor(memory: ArrayBufferLike, address: number, count: number) {
    const copy = memory.slice(address, address + count * width * 8);
    this.#numbers = new Float64Array(copy);
    this.#words = new BigUint64Array(copy);
    this.count = count;
  }

  /** A word of a row as a number. The column is always one that the row has. */
  number(row: number, column: number): number {
    return this.#numbers[row * width + column] as number;
  }

  /** A word of a row as an epoch: 16 hexadecimal digits. */
  epoch(row: number, column: number): string {
    return hex(this.#words[row * width + column] as bigint);
  }
}

// Messages of one log follow each other, and share the text of their epoch.
let lastWord = 0n;
let lastText = "0".repeat(16);

function hex(word: bigint): string {
  if (word !== lastWord) {
    lastWord = word;
    lastText = word.toString(16).padStart(16, "0");
  }
  return lastText;
}
