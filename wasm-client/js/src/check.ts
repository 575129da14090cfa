// Arguments, checked where they are given: a mistake throws a `TypeError` there, and reaches no engine.

import { misuse } from "./errors.js";
import type {
  ClientOptions,
  From,
  HistoryOptions,
  PublishOptions,
  SubscribeOptions,
} from "./types.js";

function check(isRight: boolean, what: string, allowed: string): void {
  if (!isRight) throw misuse("bad_argument", `${what}: give ${allowed}`);
}

const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;

function isPlace(value: unknown): boolean {
  const { epoch, offset } = Object(value);
  return typeof epoch === "string" && /^[\da-f]{16}$/.test(epoch) && isCount(offset);
}

function isStart(from: unknown): boolean {
  if (Array.isArray(from)) return from.length > 0 && from.every(isPlace);
  const { last, sinceMs = last } = Object(from);
  return isPlace(from) || (isCount(sinceMs) && (last === undefined || last === sinceMs));
}

/** One of the words, or left out. */
function checkWord(value: unknown, what: string, ...words: unknown[]): void {
  check(value === undefined || words.includes(value), what, words.join(" or "));
}

function checkType(value: unknown, what: string, type: string): void {
  check(value === undefined || typeof value === type, what, `a ${type}`);
}

function checkSignal(signal: AbortSignal | undefined): void {
  check(signal === undefined || "aborted" in Object(signal), "signal", "an AbortSignal");
}

function checkBound(value: unknown, what: string): void {
  const isBound = value === undefined || value === Number.POSITIVE_INFINITY || isCount(value);
  check(isBound && value !== 0, `outbox.${what}`, "a whole number above 0, or Infinity");
}

export function checkFunction(value: unknown, what: string): void {
  check(typeof value === "function", what, "a function");
}

export function checkName(name: unknown): void {
  check(typeof name === "string", "name", "a string");
}

export function checkTopic(name: unknown): void {
  checkName(name);
  const isPattern = /(^|\.)[*>](\.|$)/.test(name as string);
  check(!isPattern, `topic ${name}`, "a name without wildcards, or use pattern()");
}

export function checkFrom(from: From | undefined): void {
  check(
    from === undefined || from === "latest" || from === "earliest" || isStart(from),
    "from",
    '"latest", "earliest", { last: 50 }, { sinceMs: 60000 }, a message, { epoch, offset }, or a list of those',
  );
}

export function checkSubscribe({ from, whenSlow, echo, signal }: SubscribeOptions): void {
  checkFrom(from);
  checkWord(whenSlow, "whenSlow", "catch_up", "gap", "disconnect");
  checkType(echo, "echo", "boolean");
  checkSignal(signal);
}

export function checkPublish({ until, signal }: PublishOptions): void {
  checkWord(until, "until", "acked", "stored");
  checkSignal(signal);
}

export function checkHistory({ from, limit, signal }: HistoryOptions): void {
  checkFrom(from);
  check(limit === undefined || (isCount(limit) && limit > 0), "limit", "a whole number above 0");
  checkSignal(signal);
}

export function checkClient({ identity, outbox, WebSocket, onGap }: ClientOptions): void {
  checkType(identity, "identity", "string");
  checkType(WebSocket, "WebSocket", "function");
  checkType(onGap, "onGap", "function");
  const { maxCount, maxBytes, whenFull } = Object(outbox);
  checkBound(maxCount, "maxCount");
  checkBound(maxBytes, "maxBytes");
  checkWord(whenFull, "outbox.whenFull", "reject", "drop_oldest");
}
