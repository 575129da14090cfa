// What can go wrong, as one small class with a stable code.

import type { FaultCode } from "./engine/faults.js";

/** Codes of the hub and of the engine, then those that only this package can give. */
export type ErrorCode =
  | FaultCode
  /** A code that this version does not know. */
  | "unknown"
  /** `until: "stored"` was asked of an outbox that lives in memory. */
  | "memory_only"
  /** What was received is not the JSON that it says it is. */
  | "bad_payload"
  /** A handler of the application threw; `cause` is what it threw. */
  | "handler_failed"
  /** The WebAssembly engine could not be loaded, or stopped; `cause` says why. */
  | "engine_failed"
  /** There is no WebAssembly, or the page's Content-Security-Policy forbids it: `@tidewire/client/js` works there. */
  | "wasm_blocked"
  /** There is no global `WebSocket`, and none was given. */
  | "no_websocket"
  /** The page may not open this connection: mixed content, or its Content-Security-Policy. */
  | "link_blocked"
  /** No connection came about: the address, its path, the page's origin, a certificate, or the network. */
  | "not_reached"
  /** What answers there speaks another protocol. */
  | "wrong_protocol"
  /** What was given as an address is none. */
  | "bad_address"
  /** A client of the same address and identity exists, with other options. */
  | "options_differ";

/** What to do about codes that nobody else has words for. */
const sentences = new Map<ErrorCode, string>([
  ["bad_name", "give words joined by dots, no spaces, * and > alone, at most 255 bytes"],
  ["forbidden", "neither a rule nor a token allows it"],
  ["too_large", "the hub takes nothing as large"],
  ["not_supported", "this hub cannot do it"],
  ["larger_than_outbox", "give the option outbox more room"],
  ["no_websocket", "there is no WebSocket: give createClient(url, { WebSocket })"],
  ["outbox_full", "wait, or give the option outbox more room"],
  ["closed", "create another client"],
  ["token_refused", "there is no token"],
  ["cancelled", "the application has withdrawn it"],
  ["dropped", "the outbox was full; publish it again"],
  ["expired", "its ttl was over before the hub had it"],
  ["condition_failed", "the key's latest message is another, see current"],
  ["link_lost", "call connect(), and wait until the status says online"],
  ["memory_only", "this outbox is in memory; leave `until` out"],
  ["bad_payload", "it is not the JSON that it says it is"],
  ["handler_failed", "a handler threw; see the cause"],
  ["bad_address", "give a hub's address, such as wss://hub.example.com"],
  [
    "options_differ",
    "give all clients of one address and identity the same outbox and token or function",
  ],
]);

/** What the package throws or rejects with, but for an `AbortSignal`'s own reason and the `TypeError`s of mistakes. */
export class TidewireError extends Error {
  override readonly name: string;
  readonly code: ErrorCode;
  /** Whether doing the same again can help without anyone changing anything. */
  readonly retryable: boolean;
  /** What is wrong or to be done, in a sentence for people: the hub's own where it said one. */
  readonly detail: string;

  /** Node prints it, and bundlers rename classes. */
  static override get name() {
    return "TidewireError";
  }

  constructor(
    code: ErrorCode,
    about: string,
    retryable = false,
    cause?: unknown,
    detail = sentences.get(code) ?? "see the README of @tidewire/client",
  ) {
    super(`${about}: ${code}: ${detail}`, cause === undefined ? {} : { cause });
    this.name = new.target.name;
    this.code = code;
    this.retryable = retryable;
    this.detail = detail;
  }
}

/**
 * No token is left that the hub takes, which is the end of the client: `token_refused` where the option `token` says so, by
 * throwing one of these, and `bad_token` where the hub does.
 */
export class TokenRefused extends TidewireError {
  static override get name() {
    return "TokenRefused";
  }

  /** Why, in a sentence for people, and what was thrown, if that is why. */
  constructor(detail?: string, options?: { readonly cause?: unknown });
  /** @internal */
  constructor(
    detail: string | undefined,
    options: { readonly cause?: unknown },
    code: ErrorCode,
    about: string,
  );
  constructor(
    detail?: string,
    options: { readonly cause?: unknown } = {},
    code: ErrorCode = "token_refused",
    about = "token",
  ) {
    super(code, about, false, options.cause, detail);
  }
}

/** The latest message of a key is not the one that a condition names. */
export class ConditionFailed extends TidewireError {
  static override get name() {
    return "ConditionFailed";
  }

  /** Where it is; nothing if the key has no value. */
  readonly current: { readonly epoch: string; readonly offset: number } | undefined;

  /** @internal */
  constructor(
    about: string,
    detail: string | undefined,
    current: { readonly epoch: string; readonly offset: number } | undefined,
  ) {
    super("condition_failed", about, false, undefined, detail);
    this.current = current;
  }
}

/** A message's time to live was over before the hub had it. */
export class Expired extends TidewireError {
  static override get name() {
    return "Expired";
  }

  /** @internal */
  constructor(about: string) {
    super("expired", about);
  }
}

/** Why something failed, as the class that it has. */
export function errorOf(
  code: ErrorCode,
  about: string,
  detail: string | undefined,
  retryable: boolean,
  cause?: unknown,
  current?: ConditionFailed["current"],
): TidewireError {
  if (code === "condition_failed") return new ConditionFailed(about, detail, current);
  return code === "expired"
    ? new Expired(about)
    : new TidewireError(code, about, retryable, cause, detail);
}

/** What has ended a client, said of what is asked of it. */
export function endedBy(
  code: ErrorCode,
  about: string,
  cause: unknown,
  detail: string | undefined,
): TidewireError {
  return code === "bad_token" || code === "token_refused"
    ? new TokenRefused(detail, { cause }, code, about)
    : new TidewireError(code, about, false, cause, detail);
}

/** A mistake of the caller's, told where it is made. */
export function misuse(code: "bad_argument" | "bad_value", text: string): TypeError {
  return Object.assign(new TypeError(text), { code });
}

/** What WebAssembly has thrown; the lack of it, or a policy against it, by its code. */
export function wasmError(cause: unknown): unknown {
  const isBlocked = !globalThis.WebAssembly || /CSP|Content.Security/i.test(String(cause));
  if (!isBlocked) return cause;
  const detail = `@tidewire/client/js needs no WebAssembly; ${wordsOf(cause)}`;
  return new TidewireError("wasm_blocked", "engine", false, cause, detail);
}

/** What was thrown, in words. */
export function wordsOf(cause: unknown): string {
  return (cause as Error | undefined)?.message || String(cause);
}
