// The numbers that the engine speaks. Written by `wasm-client/tests/tables.rs` from what stands in Rust.

/** What the engine can be told; `wasm-client/src/numbers.rs` says what goes with each. */
// biome-ignore lint/suspicious/noConstEnum: inlined by the bundler, names and all, and private to this package.
export const enum Call {
  Drain = 0,
  Received = 1,
  Publish = 2,
  Subscribe = 3,
  Cancel = 4,
  Unsubscribe = 5,
  Settled = 6,
  Connect = 7,
  Close = 8,
  LinkOpened = 9,
  LinkClosed = 10,
  Timeout = 11,
  Online = 12,
  Suspend = 13,
  NoToken = 14,
  Ping = 15,
  Send = 16,
  History = 17,
  CatchUp = 18,
  Batch = 19,
  Withdraw = 20,
  Token = 21,
  Besides = 22,
}

/** What its rows are; the same file says what stands in each. */
// biome-ignore lint/suspicious/noConstEnum: inlined by the bundler, names and all, and private to this package.
export const enum Kind {
  Deadline = 0,
  OpenLink = 1,
  CloseLink = 2,
  NeedToken = 3,
  Send = 4,
  Splice = 5,
  Status = 6,
  Ready = 7,
  Position = 8,
  Refused = 9,
  Gap = 10,
  Message = 11,
  Published = 12,
  Failed = 13,
  Said = 14,
  Echoed = 15,
  Page = 16,
  CaughtUp = 17,
  Settled = 18,
  Unsendable = 19,
  Besides = 20,
  Header = 21,
}

/** How the client stands to its hub. */
// biome-ignore lint/suspicious/noConstEnum: inlined by the bundler, names and all, and private to this package.
export const enum Standing {
  Connecting = 0,
  Online = 1,
  Offline = 2,
  Closed = 3,
}

/** The same by name, from 0. */
export const standings = ["connecting", "online", "offline", "closed"] as const;

/** What becomes of an update. */
// biome-ignore lint/suspicious/noConstEnum: inlined by the bundler, names and all, and private to this package.
export const enum Fate {
  Dropped = 0,
  Gone = 1,
  Waits = 2,
}

/** What a payload is. */
// biome-ignore lint/suspicious/noConstEnum: inlined by the bundler, names and all, and private to this package.
export const enum Content {
  Json = 1,
  Text = 2,
  Binary = 3,
  Cbor = 4,
}

/** The same by name, from 1. */
export const contents = ["json", "text", "binary", "cbor"] as const;

/** What a subscriber got, from 1. */
export const outcomes = ["live", "resumed", "gap"] as const;

/** Why messages are missing, from 1. */
export const gapReasons = [
  "retention",
  "epoch_changed",
  "forgotten",
  "beyond_end",
  "too_slow",
  "compacted",
] as const;

/** What holds of what is published, from 1. */
export const durabilities = ["memory", "synced", "replicated", "replicated_synced"] as const;

/** What the hub does about a slow subscriber, from 1. */
export const slownesses = ["catch_up", "gap", "disconnect", "latest"] as const;

/** Faults of the protocol, from 1. */
export const protocolCodes = [
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
  "batch_refused",
  "condition_failed",
  "bad_message",
] as const;

/** The client's own, from 100. */
export const clientCodes = [
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
  "expired",
] as const;
