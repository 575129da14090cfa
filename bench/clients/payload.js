// What is sent: values of one size, each with its number, so that a sum tells whether all have come.

/** The value with a number: for `json` an object whose text has so many bytes, for `bytes` an array of them. */
export function payload(kind, n, bytes) {
  return kind === "json" ? JSON.parse(jsonText(n, bytes)) : numberedBytes(n, bytes);
}

/** Records as applications send them, small ones in a list, filled up with a string to the byte. */
export function jsonText(n, bytes) {
  const value = { n, rows: [], rest: "" };
  let length = JSON.stringify(value).length;
  for (;;) {
    const row = recordOf(n, value.rows.length);
    const more = JSON.stringify(row).length + 1;
    if (length + more > bytes) break;
    value.rows.push(row);
    length += more;
  }
  value.rest = "x".repeat(bytes - JSON.stringify(value).length);
  return JSON.stringify(value);
}

function recordOf(n, index) {
  return {
    id: n * 100 + index,
    name: `item ${index}`,
    price: 12.5 + index,
    tags: ["new", "eu"],
    open: index % 2 === 0,
  };
}

function numberedBytes(n, bytes) {
  const all = new Uint8Array(bytes).fill(120);
  all.set([n & 255, (n >> 8) & 255, n >> 16]);
  return all;
}

/** Takes values as they come, and knows when all are there. */
export class Tally {
  #count = 0;
  #sum = 0;
  #bytes = 0;
  #expected;
  #resolve;

  constructor({ kind, count, bytes }) {
    this.#expected = { kind, count, bytes };
    this.complete = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    /** What every library's listener does with a message: it reads the number. */
    this.take = kind === "json" ? (value) => this.#add(value.n) : (bytes) => this.#addBytes(bytes);
  }

  /** Throws unless every message has come exactly once. */
  check() {
    const { kind, count, bytes } = this.#expected;
    const sum = (count * (count + 1)) / 2;
    const whole = kind === "json" || this.#bytes === count * bytes;
    if (this.#count === count && this.#sum === sum && whole) return;
    throw new Error(
      `of ${count} messages ${this.#count} came, their sum is ${this.#sum} and not ${sum}, their bytes ${this.#bytes}`,
    );
  }

  #addBytes(bytes) {
    this.#bytes += bytes.length;
    this.#add(bytes[0] + (bytes[1] << 8) + (bytes[2] << 16));
  }

  #add(n) {
    this.#sum += n;
    if (++this.#count === this.#expected.count) this.#resolve();
  }
}
