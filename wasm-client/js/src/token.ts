// What gives tokens. No code.

/** Gives a token whenever one is wanted. If it throws it is asked again later; `null` ends the client: `token_refused`. */
export type TokenSource = (ask: TokenAsk) => string | null | Promise<string | null>;

export interface TokenAsk {
  readonly reason: "sign_in" | "refused" | "expires";
  /** Aborts when the token would come too late. Absent where the runtime has no `AbortSignal.timeout`. */
  readonly signal: AbortSignal | undefined;
}
