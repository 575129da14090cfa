// One room: what was said, what is on its way, and whether we are in. Knows nothing of React.

import type { Gap, Message, Position, Subscription, TidewireError, Topic } from "@tidewire/client";
import { isLine, type Line } from "./topics";

export type Entry =
  | { readonly type: "line"; readonly key: string; readonly line: Line; readonly at: number }
  | { readonly type: "gap"; readonly key: string; readonly reason: Gap["reason"] };

/** A line of ours that has not come back to us yet. */
export interface Outgoing {
  readonly line: Line;
  readonly state: "pending" | "sent" | "failed";
  readonly why?: string;
}

/** Another object whenever anything in it changes. */
export interface View {
  readonly state: "entering" | "inside" | "refused";
  /** Why it was refused. */
  readonly why?: string;
  readonly entries: readonly Entry[];
  readonly outgoing: readonly Outgoing[];
}

export class Room {
  readonly #topic: Topic<Line>;
  readonly #watchers = new Set<() => void>();
  #subscription: Subscription | undefined;
  /** Where to go on after we were elsewhere. */
  #place: Position | undefined;
  #view: View = { state: "entering", entries: [], outgoing: [] };

  constructor(topic: Topic<Line>) {
    this.#topic = topic;
  }

  readonly view = (): View => this.#view;

  /** The first watcher enters the room, and the last one leaves it: watching twice, as StrictMode does, is fine. */
  readonly watch = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher);
    if (this.#watchers.size === 1) this.enter();
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.#subscription?.unsubscribe();
    };
  };

  readonly enter = (): void => {
    this.#show({ state: "entering" });
    this.#subscription = this.#subscribe();
  };

  /** Says a line, or says it again: what has failed goes to the end. */
  readonly send = (line: Line): void => {
    const { outgoing } = this.#view;
    this.#show({ outgoing: [...outgoing.filter(isNot(line)), { line, state: "pending" }] });
    this.#topic.publish(line).then(
      () => this.#mark({ line, state: "sent" }),
      (error) => this.#mark({ line, state: "failed", why: reasonOf(error) }),
    );
  };

  discard(line: Line): void {
    this.#show({ outgoing: this.#view.outgoing.filter(isNot(line)) });
  }

  #subscribe(): Subscription {
    const from = this.#place ?? { last: HISTORY_LINES };
    const subscription = this.#topic.subscribe((message) => this.#hear(message), { from });
    subscription.on("gap", (gap) => this.#miss(gap));
    // As well if the client has ended, as where WebAssembly is blocked.
    subscription.on("refused", (error) => this.#show({ state: "refused", why: reasonOf(error) }));
    subscription.ready.then(
      () => this.#show({ state: "inside" }),
      () => {}, // Told by "refused", or we have left.
    );
    return subscription;
  }

  #hear(message: Message<Line>): void {
    const { data: line, epoch, offset, publishedAt: at } = message;
    this.#place = { epoch, offset };
    if (!isLine(line)) return;
    this.discard(line);
    const key = `line ${line.id}`;
    if (this.#view.entries.some((entry) => entry.key === key)) return;
    this.#add({ type: "line", key, line, at });
  }

  #miss({ epoch, from, to, reason }: Gap): void {
    this.#place = { epoch, offset: to };
    this.#add({ type: "gap", key: `gap ${epoch}:${from}:${to}`, reason });
    // What the hub had of ours would have come back before the gap. Said again, it is shown once.
    for (const { line, state } of this.#view.outgoing) {
      if (state === "sent") this.#mark({ line, state: "failed", why: "the hub may have lost it" });
    }
  }

  #add(entry: Entry): void {
    this.#show({ entries: [...this.#view.entries, entry].slice(-ENTRIES_MAX) });
  }

  /** Changes a line of ours, unless it has come back already. */
  #mark(changed: Outgoing): void {
    const { outgoing } = this.#view;
    const isChanged = ({ line }: Outgoing) => line.id === changed.line.id;
    this.#show({ outgoing: outgoing.map((each) => (isChanged(each) ? changed : each)) });
  }

  #show(change: Partial<View>): void {
    this.#view = { ...this.#view, ...change };
    for (const watcher of this.#watchers) watcher();
  }
}

/** The hub's sentence, without what a developer wants to know besides. */
function reasonOf({ detail, message }: TidewireError): string {
  return detail ?? message;
}

function isNot({ id }: Line): (outgoing: Outgoing) => boolean {
  return ({ line }) => line.id !== id;
}

const HISTORY_LINES = 50;
/** More are not kept in the page. */
const ENTRIES_MAX = 500;
