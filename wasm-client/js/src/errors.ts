// What can go wrong, as one small class with a stable code.

import type { FaultCode } from "./engine/faults.js";

/** Codes of the hub and of the engine, then those that only this package can give. */
export type ErrorCode =
  | FaultCode
  /** A code that this version does not know. */
  | "unknown"
  /** `until: "stored"` was asked of an outbox that lives in memory. */
  | "memory_only"
  /** The value to publish is nothing that JSON can say. */
  | "bad_value"
  /** What was received is not the JSON that it says it is. */
  | "bad_payload"
  /** A handler of the application threw; `cause` is what it threw. */
  | "handler_failed"
  /** The WebAssembly engine could not be loaded, or stopped; `cause` says why. */
  | "engine_failed"
  /** There is no global `WebSocket`, and none was given. */
  | "no_websocket"
  /** A client of the same address and identity exists, with other options. */
  | "options_differ";

/** Everything that this package throws or rejects with, but for an `AbortSignal`'s own reason. */
export class TidewireError extends Error {
  override readonly name = "TidewireError";
  readonly code: ErrorCode;
  /** Whether doing the same again can help without anyone changing anything. */
  readonly retryable: boolean;

  constructor(code: ErrorCode, about: string, retryable = false, cause?: unknown) {
    super(`${about}: ${code}`, { cause });
    this.code = code;
    this.retryable = retryable;
  }
}
