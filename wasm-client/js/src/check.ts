// Arguments, checked where they are given: a mistake throws a `TypeError` there, and reaches no engine.

import { misuse, TidewireError, TokenRefused } from "./errors.js";
import type {
  ClientOptions,
  From,
  HistoryOptions,
  SendOptions,
  SubscribeOptions,
  WaitOptions,
} from "./types.js";
import { toUtf8 } from "./utf8.js";

export function check(isRight: boolean, what: string, allowed: string): void {
  if (!isRight) throw misuse("bad_argument", `${what}: give ${allowed}`);
}

/** Options must be an object, and all their names known. */
export function checkOptions(options: unknown, known: string): void {
  check(Object(options) === options, "options", "an object");
  for (const name of Object.keys(options as object)) checkKnown(name, "option", known);
}

function checkKnown(name: unknown, what: string, known: string): void {
  const names = known.split(" ");
  check(names.includes(name as string), `${what} ${name}`, names.join(" or "));
}

export const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;

export function isPlace(value: unknown): boolean {
  const { epoch, offset } = Object(value);
  return typeof epoch === "string" && /^[\da-f]{16}$/.test(epoch) && isCount(offset);
}

function isPlaces(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 && value.every(isPlace) : isPlace(value);
}

function isStart(from: unknown): boolean {
  const { last, sinceMs = last } = Object(from);
  return isPlaces(from) || (isCount(sinceMs) && (last === undefined || last === sinceMs));
}

/** One of the words, or left out. */
export function checkWord(value: unknown, what: string, ...words: unknown[]): void {
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

/** An event must be one that is known. */
export function checkEvent(event: unknown, handler: unknown, known: string): void {
  checkKnown(event, "event", known);
  checkFunction(handler, event as string);
}

export function checkId(id: unknown): void {
  check(isCount(id), "id", "that of a publish");
}

/** What a token of a name may be; the rules are those of `protocol/src/name.rs`. */
const plain = /^[^*>\p{White_Space}\p{Cc}\p{Cs}]+$/u;

/** A name with or without wildcards. */
export function checkName(name: unknown, wildcards: boolean): void {
  check(typeof name === "string", "name", "a string");
  const text = name as string;
  const isToken = (token: string, at: number, { length }: string[]) =>
    plain.test(token) || token === "*" || (token === ">" && at === length - 1);
  // No letter takes more than three bytes: most names are short, whatever they hold.
  if (!text.split(".").every(isToken) || (text.length > 85 && toUtf8(text).length > 255)) {
    throw new TidewireError("bad_name", JSON.stringify(text.slice(0, 60)));
  }
  const isPlain = wildcards || !/[*>]/.test(text);
  check(isPlain, `topic ${text}`, "a name without wildcards, or use pattern()");
}

export function checkFrom(from: From | undefined): void {
  check(
    from === undefined || from === "latest" || from === "earliest" || isStart(from),
    "from",
    '"latest", "earliest", { last: 50 }, { sinceMs: 60000 }, a message, { epoch, offset }, or a list of those',
  );
}

export function checkSubscribe(options: SubscribeOptions): void {
  checkOptions(options, "from whenSlow echo signal");
  const { from, whenSlow, echo, signal } = options;
  checkFrom(from);
  checkWord(whenSlow, "whenSlow", "catch_up", "gap", "disconnect", "latest");
  checkType(echo, "echo", "boolean");
  checkSignal(signal);
}

/** What comes of a publish for who waits; the rest of its options is what the message has. */
export function checkPublish(options: WaitOptions): void {
  const { until, signal } = options;
  checkWord(until, "until", "acked", "stored");
  checkSignal(signal);
}

/** Each of a batch is a topic's name and what to publish to it. */
export function checkBatch(messages: unknown): void {
  const { length } = Object(messages);
  const isRight = Array.isArray(messages) && length > 0 && length <= 1_000;
  check(isRight, "messages", "an array of 1 to 1,000");
  (messages as unknown[]).forEach((message, index) => {
    check(Object(message) === message, `message ${index}`, "{ topic, data }");
  });
}

export function checkSend({ expiresMs }: SendOptions): void {
  const isTime = expiresMs === undefined || isCount(expiresMs);
  check(isTime, "expiresMs", "a whole number of milliseconds");
}

export function checkHistory(options: HistoryOptions): void {
  checkOptions(options, "from before limit signal");
  const { from, before, limit, signal } = options;
  checkFrom(from);
  const isBefore =
    before === undefined || (from === undefined && (before === "latest" || isPlaces(before)));
  check(isBefore, "before", '"latest", a message, { epoch, offset }, or a list, and no from');
  check(limit === undefined || (isCount(limit) && limit > 0), "limit", "a whole number above 0");
  checkSignal(signal);
}

/** What a function gave: whatever is no token is for another time, but `null`, which is for good. Its text is not told. */
export function checkToken(token: unknown): void {
  if (token === null) throw new TokenRefused();
  const isText = typeof token === "string";
  if (isText && token.length <= TOKEN_MAX && /^[\w-]+(\.[\w-]+){2}$/.test(token)) return;
  const what = isText ? `${token.length} characters` : typeof token;
  throw new TypeError(`the function gave ${what}, not a JWT of at most 8,192 bytes`);
}

export function checkClient(options: ClientOptions): void {
  checkOptions(options, "identity token outbox WebSocket onGap");
  const { identity, token, outbox = {}, WebSocket, onGap } = options;
  checkType(identity, "identity", "string");
  const isText = typeof token === "string" && token.length > 0 && token.length <= TOKEN_MAX;
  const isToken = isText || token === undefined || typeof token === "function";
  check(isToken, "token", "a string of 1 to 8,192 bytes, or a function");
  checkType(WebSocket, "WebSocket", "function");
  checkType(onGap, "onGap", "function");
  checkOptions(outbox, "maxCount maxBytes whenFull");
  const { maxCount, maxBytes, whenFull } = outbox;
  checkBound(maxCount, "maxCount");
  checkBound(maxBytes, "maxBytes");
  checkWord(whenFull, "outbox.whenFull", "reject", "drop_oldest");
}

/** Bytes of the largest token that a hub takes. */
const TOKEN_MAX = 8_192;
