// What a contract says of names. No code.

/** Maps names and patterns to what their messages are. */
export type Contract = object;

/** What the data of a topic is that no entry of the contract matches: nothing is assignable to it. */
export interface NoSuchTopic<N extends string> {
  readonly "the contract has no topic or pattern that matches": N;
  readonly [unmatched]: never;
}
declare const unmatched: unique symbol;

/**
 * The type that a contract gives to a name: its own entry's, else that of the patterns that match, and for a pattern
 * of all entries that it may meet. A name that is any string may be any entry's, or none: `unknown`.
 */
export type DataOf<C extends Contract, N extends string> = (() => C) extends () => never
  ? unknown
  : string extends N
    ? unknown
    : N extends keyof C
      ? IsPattern<N> extends true
        ? Met<C, N>
        : C[N]
      : [Met<C, N>] extends [never]
        ? NoSuchTopic<N>
        : Met<C, N>;

type IsPattern<N extends string> = N extends
  | ">"
  | "*"
  | `${string}.>`
  | `${"" | `${string}.`}*.${string}`
  | `${string}.*`
  ? true
  : false;

type Met<C extends Contract, N extends string> = {
  [P in keyof C & string]: Meets<P, N> extends true ? C[P] : never;
}[keyof C & string];

/** Whether a topic can match both. */
type Meets<A extends string, B extends string> = A extends ">"
  ? true
  : B extends ">"
    ? true
    : A extends `${infer AHead}.${infer ARest}`
      ? B extends `${infer BHead}.${infer BRest}`
        ? Alike<AHead, BHead> extends true
          ? Meets<ARest, BRest>
          : false
        : false
      : B extends `${string}.${string}`
        ? false
        : Alike<A, B>;

type Alike<A extends string, B extends string> = A extends "*" | B
  ? true
  : B extends "*"
    ? true
    : false;
