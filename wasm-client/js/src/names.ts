// What has a name is the same object for as long as anyone holds it.

export class Names<T extends object> {
  readonly #make: (name: string) => T;
  readonly #held = new Map<string, WeakRef<T>>();
  /** Hermes has none; there the names stay. */
  readonly #registry =
    globalThis.FinalizationRegistry &&
    new FinalizationRegistry<string>((name) => {
      if (!this.#held.get(name)?.deref()) this.#held.delete(name);
    });

  constructor(make: (name: string) => T) {
    this.#make = make;
  }

  get(name: string): T {
    const held = this.#held.get(name)?.deref();
    if (held) return held;
    const made = this.#make(name);
    this.#held.set(name, new WeakRef(made));
    this.#registry?.register(made, name);
    return made;
  }
}
