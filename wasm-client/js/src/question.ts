// A page of history: a reader that gathers what it is given, until it is whole.

import { deferred } from "./deferred.js";
import type { Engine, PageFrom } from "./engine/engine.js";
import type { TidewireError } from "./errors.js";
import type { Item, Owner, Reader } from "./listener.js";
import type { ReceivedMessage } from "./message.js";
import type { Page, Ready } from "./types.js";

export class Question implements Reader {
  number = 0;
  readonly answer = deferred<Page<unknown>>();
  #messages: ReceivedMessage[] = [];

  constructor(
    readonly owner: Owner,
    readonly name: string,
    readonly from: PageFrom,
    readonly limit: number,
  ) {}

  get about(): string {
    return `history of ${this.name}`;
  }

  introduce(engine: Engine): number {
    return engine.history(this.name, this.from, this.limit);
  }

  /** Its messages have all been given. */
  begin({ positions, gap }: Ready, what: number): void {
    // A page that was read back came in parts, the newest first.
    this.#messages.sort((one, other) => one.offset - other.offset);
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
    this.answer.resolve({
      messages,
      next: positions.slice(0, what >> 1),
      previous: positions.slice(what >> 1),
      more: (what & 1) > 0,
      ...(gap && { gap }),
    });
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
