// `Symbol.dispose`, also where the runtime has none yet.

export const dispose: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for("Symbol.dispose");
