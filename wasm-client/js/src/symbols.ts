// Names of members that runtimes look for.

/** `Symbol.dispose`, also where the runtime has none yet. */
export const dispose: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for("Symbol.dispose");

/** Gives what Node shows of an object. */
export const inspected: unique symbol = Symbol.for("nodejs.util.inspect.custom") as never;
