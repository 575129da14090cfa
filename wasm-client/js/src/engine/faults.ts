// The engine's faults by number: those of the protocol from 1, the client's own from 100.
// `wasm-client/src/faults.rs` checks this list against the engine's.

export const faultCodes = [
  "bad_frame",
  "not_signed_in",
  "sign_in_timeout",
  "bad_token",
  "forbidden",
  "bad_name",
  "too_large",
  "limit_reached",
  "rate_limited",
  "out_of_order",
  "fenced",
  "unknown_number",
  "not_stored",
  "not_supported",
  "draining",
  "too_slow",
  "resume",
  "silent",
  "overloaded",
  "outcome_forgotten",
  "internal",
  "identity_mismatch",
  // The client's own, from 100.
  "outbox_full",
  "closed",
  "cancelled",
  "dropped",
  "link_lost",
  "hub_silent",
  "hub_misbehaved",
  "no_token",
  "token_refused",
  "suspended",
  "larger_than_outbox",
] as const;

export type FaultCode = (typeof faultCodes)[number];

/** The code behind a fault's number; `unknown` is one that this version does not know. */
export function codeOf(number: number): FaultCode | "unknown" {
  return faultCodes[number > 99 ? number - 78 : number - 1] ?? "unknown";
}
