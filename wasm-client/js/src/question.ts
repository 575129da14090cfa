// A page of history: a reader that gathers what it is given, until it is whole.

import type { Engine } from "./engine/engine.js";
import type { TidewireError } from "./errors.js";
import type { Item, Owner, Reader } from "./listener.js";
import type { ReceivedMessage } from "./message.js";
import type { From, Page, Ready } from "./types.js";

export class Question implements Reader {
  number = 0;
  readonly answer: Promise<Page<unknown>>;
  #messages: ReceivedMessage[] = [];
  #resolve!: (page: Page<unknown>) => void;
  #reject!: (reason: unknown) => void;

  constructor(
    readonly owner: Owner,
    readonly name: string,
    readonly from: From,
    readonly limit: number,
  ) {
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get about(): string {
    return `history of ${this.name}`;
  }

  introduce(engine: Engine): number {
    return engine.history(this.name, this.from, this.limit);
  }

  /** Its messages have all been given. */
  begin({ positions: next, gap }: Ready, more: boolean): void {
    const messages = this.#messages.filter((message) => {
      try {
        message.read();
        return true;
      } catch (error) {
        this.owner.report(error as TidewireError);
        return false;
      }
    });
    this.owner.left(this);
    this.#resolve({ messages, next, more, ...(gap && { gap }) });
  }

  give(item: Item): void {
    this.#messages.push(item as ReceivedMessage);
  }

  caught(): void {}

  end(reason: unknown): boolean {
    this.owner.left(this);
    this.#reject(reason);
    return true;
  }

  orphan(): void {
    this.number = 0;
    this.#messages = [];
  }
}
