// One room: what was said, what is on its way, and whether we are in. Knows nothing of React.

import type { Gap, Message, Position, Subscription, TidewireError, Topic } from "@tidewire/client";
import { isLine, type Line } from "./topics";

export type Entry =
  | {
      readonly type: "line";
      readonly key: string;
      readonly line: Line;
      readonly at: number;
      readonly place: Position;
    }
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
  /** Whether there may be lines before these. */
  readonly older: "none" | "some" | "loading";
}

export class Room {
  readonly #topic: Topic<Line>;
  readonly #watchers = new Set<() => void>();
  #subscription: Subscription | undefined;
  /** Where to go on after we were elsewhere. */
  #place: Position | undefined;
  /** Where to read on who reads back, if that is not before the oldest line shown. */
  #before: readonly Position[] | undefined;
  /** So many entries are kept in the page: more if somebody reads back. */
  #entriesMax = ENTRIES_MAX;
  #view: View = { state: "entering", entries: [], outgoing: [], older: "none" };

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

  /** Reads back: puts a page of what comes before in front. */
  readonly showOlder = async (): Promise<void> => {
    const first = this.#view.entries.find((entry) => entry.type === "line");
    if (this.#view.older !== "some" || !first) return;
    this.#show({ older: "loading" });
    const before = this.#before ?? first.place;
    try {
      const page = await this.#topic.history({ before, limit: HISTORY_LINES });
      const { entries } = this.#view;
      const shown = new Set(entries.map(({ key }) => key));
      const gap = page.gap && !page.more ? [gapOf(page.gap)] : [];
      const older = [...gap, ...page.messages.flatMap(entriesOf)];
      this.#before = page.previous;
      this.#entriesMax = entries.length + older.length + ENTRIES_MAX;
      this.#show({
        entries: [...older.filter(({ key }) => !shown.has(key)), ...entries],
        older: page.more && entries.length < READ_BACK_MAX ? "some" : "none",
      });
    } catch {
      // The client has ended, or the room is closed to us: the subscription tells.
      this.#show({ older: "some" });
    }
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
    const { epoch, offset } = message;
    this.#place = { epoch, offset };
    for (const entry of entriesOf(message)) {
      this.discard(message.data);
      if (!this.#view.entries.some(({ key }) => key === entry.key)) this.#add(entry);
    }
  }

  #miss(gap: Gap): void {
    this.#place = { epoch: gap.epoch, offset: gap.to };
    this.#add(gapOf(gap));
    // What the hub had of ours would have come back before the gap. Said again, it is shown once.
    for (const { line, state } of this.#view.outgoing) {
      if (state === "sent") this.#mark({ line, state: "failed", why: "the hub may have lost it" });
    }
  }

  #add(entry: Entry): void {
    const { entries, older } = this.#view;
    if (entries.length < this.#entriesMax) {
      const isFirst = entries.length === 0 && entry.type === "line";
      this.#show({ entries: [...entries, entry], older: isFirst ? "some" : older });
      return;
    }
    // What is let go of is older again.
    this.#before = undefined;
    this.#show({ entries: [...entries, entry].slice(-this.#entriesMax), older: "some" });
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

/** None for what is no line. */
function entriesOf({ data: line, epoch, offset, publishedAt: at }: Message<Line>): Entry[] {
  if (!isLine(line)) return [];
  return [{ type: "line", key: `line ${line.id}`, line, at, place: { epoch, offset } }];
}

function gapOf({ epoch, from, to, reason }: Gap): Entry {
  return { type: "gap", key: `gap ${epoch}:${from}:${to}`, reason };
}

/** The hub's sentence, without what a developer wants to know besides. */
function reasonOf({ detail, message }: TidewireError): string {
  return detail ?? message;
}

function isNot({ id }: Line): (outgoing: Outgoing) => boolean {
  return ({ line }) => line.id !== id;
}

const HISTORY_LINES = 50;
/** More are not kept in the page, unless somebody reads back, */
const ENTRIES_MAX = 500;
/** and no more than so many are read back. */
const READ_BACK_MAX = 2_000;
