// Values as they travel: bytes as they are, all else as JSON, and what neither can say is refused.

import { Content } from "./engine/tables.js";
import { misuse } from "./errors.js";
import { toUtf8 } from "./utf8.js";

/** The class of a value, also of one from another realm. */
const tagOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

/** What JSON writes as something else than it is, even if it has properties. */
const lossy = /^(Map|Set|Blob|File|Promise|Error|RegExp|.+Array)$/;

/** The bytes of a buffer or of a view of one, not copied. */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  return /^(Shared)?ArrayBuffer$/.test(tagOf(value))
    ? new Uint8Array(value as ArrayBuffer)
    : undefined;
}

/** A value's content number, and a copy of it as bytes. Throws a `TypeError` of what would arrive as something else. */
export function encode(value: unknown, about: string): [content: number, payload: Uint8Array] {
  const bytes = bytesOf(value);
  // The constructor copies, where the `slice` of Node's `Buffer` does not.
  if (bytes) return [Content.Binary, new Uint8Array(bytes)];
  const refuse = (what: string) =>
    misuse("bad_value", `${about}: ${what} is no JSON; give values that are, or a Uint8Array`);
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    // A circle, a bigint, or a `toJSON` that throws.
    throw Object.assign(refuse("what throws"), { cause });
  }
  if (text === undefined) throw refuse(typeof value);
  const loss = lossIn(value);
  if (loss) throw refuse(loss);
  return [Content.Json, toUtf8(text)];
}

/** What JSON has written as something else; a look at the value costs less than a hook into `JSON.stringify`. */
function lossIn(value: unknown): string | undefined {
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (typeof value === "function" || typeof value === "symbol") return typeof value;
  if (typeof value !== "object" || !value) return undefined;
  if ("toJSON" in value)
    return tagOf(value) === "Date" && Number.isNaN(+value) ? "Invalid Date" : undefined;
  const parts = Object.values(value);
  if (Array.isArray(value)) {
    // Holes count.
    if (value.includes(undefined)) return "undefined";
  } else {
    // The prototype of plain objects, also of another realm, has none.
    const prototype = Object.getPrototypeOf(value);
    const isOther = prototype && Object.getPrototypeOf(prototype);
    if (isOther && (!parts.length || lossy.test(tagOf(value)))) return tagOf(value);
  }
  for (const part of parts) {
    const loss = lossIn(part);
    if (loss) return loss;
  }
  return undefined;
}
