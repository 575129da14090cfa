// What a message has besides its value, and on which terms it is published: checked at the call, and as the engine takes it.

import { check, checkOptions, checkWord, isCount, isPlace } from "./check.js";
import type { Position, PublishOptions, RemoveOptions } from "./types.js";
import { toUtf8 } from "./utf8.js";

/**
 * The key, names and values of headers, with zeros between; what is chosen, as the engine has it; when it is worth nothing
 * any more, by the engine's clock; the place that its key's latest message is to have; and what it takes of the outbox, at
 * most.
 */
export type Besides = readonly [
  texts: string,
  choices: number,
  until: number,
  version: Position | undefined,
  size: number,
];

/** What can be given of it where nobody answers. */
export const sent = "key headers ttl";
/** What can be given of it with a publish. */
export const published = `${sent} ifVersion ifAbsent durability`;

/** What can be chosen for who waits. */
export const waiting = "until signal";

/** What says that a key has no value any more. Throws as `besidesOf` does. */
export function removalOf(key: string, options: RemoveOptions): Besides | undefined {
  checkOptions(options, `${waiting} headers ifVersion durability`);
  return besidesOf({ ...options, key }, `${waiting} ${published}`, true);
}

/** Nothing for most. Throws a `TypeError` of what no message may have, and of options that are not `known`. */
export function besidesOf(
  options: PublishOptions,
  known: string,
  removes = false,
): Besides | undefined {
  checkOptions(options, known);
  const { key, headers = {}, ttl, ifVersion, ifAbsent, durability } = options;
  const isKey = typeof key === "string" && key !== "" && isText(key) && toUtf8(key).length < 256;
  const mayLack = key === undefined && !removes && !ifVersion && !ifAbsent;
  check(isKey || mayLack, "key", "a string of 1 to 255 bytes without control characters");
  check(Object(headers) === headers, "headers", "an object of strings");
  const pairs = Object.entries(headers);
  for (const [name, value] of pairs) {
    const isName = /^[\w.-]{1,64}$/.test(name) && name === name.toLowerCase();
    check(isName, `header ${name}`, "a name of 1 to 64 letters in lower case, digits, - _ and .");
    check(typeof value === "string" && isText(value), `header ${name}`, "a string, no controls");
  }
  // Each has its length before it, which is one byte for most.
  const size = pairs.flat().reduce((sum, text) => sum + toUtf8(text).length + 2, 0);
  check(pairs.length <= 32 && size <= 4_096, "headers", "32 at most, and 4,096 bytes in all");
  check(ttl === undefined || (isCount(ttl) && ttl > 0), "ttl", "whole milliseconds above 0");
  check(
    ifVersion === undefined || isPlace(ifVersion),
    "ifVersion",
    "a message or { epoch, offset }",
  );
  checkWord(ifAbsent, "ifAbsent", true, false);
  check(!ifVersion || !ifAbsent, "ifVersion", "it or ifAbsent, not both");
  checkWord(durability, "durability", "memory", "synced");
  const texts = [key ?? "", ...pairs.flat()].join("\0");
  const kept = durability ? (durability === "memory" ? 8 : 16) : 0;
  const choices = Number(removes) + 2 * Number(!!ifAbsent) + 4 * Number(!!ifVersion) + kept;
  if (!texts && !choices && !ttl) return undefined;
  const until = ttl ? performance.now() + ttl : Number.POSITIVE_INFINITY;
  return [texts, choices, until, ifVersion, toUtf8(key ?? "").length + size + REST_BYTES];
}

/** What all that is neither key nor headers takes of a frame, and what stands before those. */
const REST_BYTES = 40;

/** Whether it is text of which none is lost, without control characters. */
const isText = (text: string) => !/[\p{Cc}\p{Cs}]/u.test(text);
