// The shared board: an event log of what was done to notes, and the notes that it adds up to.

import type { Client, Subscription } from "@tidewire/client";
import { byId } from "../elements";
import type { Outages } from "../link/outages";
import type { Traffic } from "../link/traffic";
import { type BoardChange, type DemoTopics, isBoardChange, type Note, type Place } from "../topics";
import type { Visitor } from "../visitor";
import { Card } from "./card";
import { Ledger } from "./ledger";

/** What is seen of a drag before it ends. */
export interface DragEvents {
  dragged(id: string, place: Place): void;
  dropped(): void;
}

export class Board {
  readonly #element = byId("board");
  readonly #topic;
  readonly #traffic: Traffic;
  readonly #outages: Outages;
  readonly #visitor: Visitor;
  readonly #drags: DragEvents;
  readonly #ledger = new Ledger();
  readonly #cards = new Map<string, Card>();
  #subscription: Subscription | undefined;
  #showDue = false;

  constructor(
    tide: Client<DemoTopics>,
    visitor: Visitor,
    traffic: Traffic,
    outages: Outages,
    drags: DragEvents,
  ) {
    this.#topic = tide.topic("demo.board");
    this.#visitor = visitor;
    this.#traffic = traffic;
    this.#outages = outages;
    this.#drags = drags;
    this.#read();
    byId("add-note").addEventListener("click", () => this.#add(freePlace(this.#cards.size)));
    this.#element.addEventListener("dblclick", (event) => {
      if (event.target === this.#element) this.#add(placeOf(event, this.#element));
    });
  }

  /** Shows where another visitor holds a note. */
  hold(id: string, place: Place): void {
    this.#cards.get(id)?.place(place);
  }

  /** Reads the whole log, now and whenever a part of it was missed. */
  #read(): void {
    this.#subscription?.unsubscribe();
    this.#ledger.reset();
    let isEmpty = true;
    const subscription = this.#topic.subscribe(
      (message) => {
        isEmpty = false;
        const { data } = message;
        const isChange = isBoardChange(data);
        this.#traffic.heard(message, isChange && this.#ledger.isPending(data));
        if (!isChange) return;
        this.#ledger.apply(data);
        this.#show();
      },
      { from: "earliest" },
    );
    subscription.on("gap", (gap) => {
      this.#outages.gap(gap);
      // A log that has lost its beginning starts with a gap; reading it again would not bring that back.
      if (gap.reason !== "retention" || !isEmpty) this.#read();
    });
    this.#subscription = subscription;
    this.#show();
  }

  #publish(change: BoardChange): void {
    this.#ledger.propose(change);
    this.#show();
    const refused = () => {
      this.#ledger.withdraw(change.change);
      this.#show();
    };
    this.#topic.publish(change).then(() => this.#ledger.acknowledge(change.change), refused);
  }

  #add(place: Place): void {
    if (this.#cards.size >= NOTES_MAX) return;
    const id = crypto.randomUUID();
    this.#put(id, { ...place, text: "", tint: this.#visitor.tint }, "all");
    this.#draw();
    this.#cards.get(id)?.focus();
  }

  #put(id: string, note: Note, part: "all" | "text" | "place"): void {
    const { x, y, text, tint } = note;
    const change = crypto.randomUUID();
    this.#publish({ type: "put", change, id, note: { x, y, text, tint }, part });
  }

  #card(id: string): Card {
    const edit = (edits: Partial<Note>, part: "text" | "place") => {
      const note = this.#ledger.notes().get(id);
      if (note) this.#put(id, { ...note, ...edits }, part);
    };
    const card = new Card({
      dragged: (place) => this.#drags.dragged(id, place),
      moved: (place) => {
        this.#drags.dropped();
        edit(place, "place");
      },
      written: (text) => edit({ text }, "text"),
      removed: () => this.#publish({ type: "remove", change: crypto.randomUUID(), id }),
    });
    this.#element.append(card.element);
    this.#cards.set(id, card);
    return card;
  }

  /** Many changes that arrive together are drawn once. */
  #show(): void {
    if (this.#showDue) return;
    this.#showDue = true;
    queueMicrotask(() => this.#draw());
  }

  #draw(): void {
    this.#showDue = false;
    const notes = this.#ledger.notes();
    for (const [id, card] of this.#cards) {
      if (notes.has(id)) continue;
      // Whoever was at work on it goes on from the board, not from the top of the page.
      if (card.element.contains(document.activeElement)) this.#element.focus();
      card.element.remove();
      this.#cards.delete(id);
    }
    for (const [id, note] of notes) (this.#cards.get(id) ?? this.#card(id)).show(note);
    this.#element.toggleAttribute("data-empty", notes.size === 0);
  }
}

/** Where on the board a pointer is. */
export function placeOf({ clientX, clientY }: MouseEvent, board: HTMLElement): Place {
  const { left, top, width, height } = board.getBoundingClientRect();
  const share = (at: number) => Math.min(1, Math.max(0, at));
  return { x: share((clientX - left) / width), y: share((clientY - top) / height) };
}

/** Steps of the golden ratio: notes that are added one after another lie apart; chance parts those of two visitors. */
function freePlace(count: number): Place {
  const step = count + Math.random() / 3;
  return { x: (0.05 + step * 0.618) % 1, y: (0.1 + step * 0.382) % 1 };
}

const NOTES_MAX = 60;
