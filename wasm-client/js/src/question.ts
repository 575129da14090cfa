// A page of history: a reader that gathers what it is given, until it is whole.

import { deferred } from "./deferred.js";
import type { Engine } from "./engine/engine.js";
import type { TidewireError } from "./errors.js";
import type { Item, Owner, Reader } from "./listener.js";
import type { ReceivedMessage } from "./message.js";
import type { From, Page, Ready } from "./types.js";

export class Question implements Reader {
  number = 0;
  readonly answer = deferred<Page<unknown>>();
  #messages: ReceivedMessage[] = [];

  constructor(
    readonly owner: Owner,
    readonly name: string,
    readonly from: From,
    readonly limit: number,
  ) {}

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
    this.answer.resolve({ messages, next, more, ...(gap && { gap }) });
  }

  give(item: Item): void {
    this.#messages.push(item as ReceivedMessage);
  }

  caught(): void {}

  end(reason: unknown): boolean {
    this.owner.left(this);
    this.answer.reject(reason);
    return true;
  }

  orphan(): void {
    this.number = 0;
    this.#messages = [];
  }
}
