// What gives tokens. No code.

/**
 * Gives a token whenever one is wanted. If it throws, or what it gives is no token, it is asked again later, unless it throws a
 * `TokenRefused`: that, or `null`, ends the client.
 */
export type TokenSource = (ask: TokenAsk) => string | null | Promise<string | null>;

export interface TokenAsk {
  readonly reason: "sign_in" | "refused" | "expires";
  /** Aborts when the token would come too late. `null` where the runtime has no `AbortSignal.timeout`. */
  readonly signal: AbortSignal | null;
}
