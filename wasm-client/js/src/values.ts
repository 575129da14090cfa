// Values as they travel: bytes as they are, all else as JSON, and what neither can say is refused.

import { misuse } from "./errors.js";
import { toUtf8 } from "./utf8.js";

const binary = 3;
const json = 1;

/** The class of a value, also of one from another realm. */
const tagOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

/** What JSON writes as `{}` or as something else than it is. */
const lossy =
  /^(Map|Set|Weak.*|Blob|File|FormData|Promise|Error|DOMException|RegExp|.+Array|.*ArrayBuffer|DataView|.*Stream)$/;

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
  if (bytes) return [binary, new Uint8Array(bytes)];
  const refuse = (what: string) =>
    misuse("bad_value", `${about}: ${what} is no JSON; give values that are, or a Uint8Array`);
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    // A circle, a bigint, or a `toJSON` that throws.
    throw refuse(String(error));
  }
  if (text === undefined) throw refuse(typeof value);
  const loss = lossIn(value);
  if (loss) throw refuse(loss);
  return [json, toUtf8(text)];
}

/** What JSON has written as something else; a look at the value costs less than a hook into `JSON.stringify`. */
function lossIn(value: unknown): string | undefined {
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (typeof value !== "object" || !value || "toJSON" in value) return undefined;
  if (Object.getPrototypeOf(value) !== Object.prototype && lossy.test(tagOf(value))) {
    return tagOf(value);
  }
  for (const part of Object.values(value)) {
    const loss = lossIn(part);
    if (loss) return loss;
  }
  return undefined;
}
