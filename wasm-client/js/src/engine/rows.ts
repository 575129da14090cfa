// The engine's outputs: rows of eight 64-bit words. `wasm-client/src/numbers.rs` says what stands where.

/** Words in a row. */
export const width = 8;

/** A table. Columns count words. */
export class Rows {
  readonly count: number;
  /** Two to a word, the lower half first; wasm's memory is little-endian. */
  readonly #halves: Uint32Array;

  constructor(halves: Uint32Array, count: number) {
    this.#halves = halves;
    this.count = count;
  }

  lower(row: number, column: number): number {
    return this.#halves[(row * width + column) * 2] as number;
  }

  upper(row: number, column: number): number {
    return this.#halves[(row * width + column) * 2 + 1] as number;
  }

  /** A whole word; infinity where it says that there is no such number. */
  number(row: number, column: number): number {
    const upper = this.upper(row, column);
    return upper < 2 ** 21 ? upper * 2 ** 32 + this.lower(row, column) : Number.POSITIVE_INFINITY;
  }

  /** A word that is an epoch: 16 hexadecimal digits. */
  epoch(row: number, column: number): string {
    return hex(this.upper(row, column)) + hex(this.lower(row, column));
  }
}

function hex(half: number): string {
  return half.toString(16).padStart(8, "0");
}
