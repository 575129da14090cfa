// The pointers of the other visitors: a topic that keeps nothing, because nobody needs to know later.

import type { Client } from "@tidewire/client";
import { byId, make, write } from "../elements";
import { count } from "../host/units";
import type { Traffic } from "../link/traffic";
import { type DemoTopics, isPresence, type Place, type Presence } from "../topics";
import { tintName, type Visitor } from "../visitor";
import { placeOf } from "./board";

interface Other {
  readonly element: HTMLElement;
  heardAt: number;
}

export class Cursors {
  readonly #board = byId("board");
  readonly #others = new Map<string, Other>();
  readonly #visitor: Visitor;
  readonly #tide: Client<DemoTopics>;
  readonly #topic;
  #at: Place | undefined;
  #holding: Presence["holding"];
  #sendDue = false;

  constructor(tide: Client<DemoTopics>, visitor: Visitor, traffic: Traffic) {
    this.#tide = tide;
    this.#visitor = visitor;
    this.#topic = tide.topic("demo.cursors");
    this.#topic.subscribe(
      (message) => {
        traffic.heard(message);
        if (isPresence(message.data)) this.#hear(message.data);
      },
      { echo: false },
    );
    const board = this.#board;
    board.addEventListener("pointermove", (event) => this.#point(placeOf(event, board)));
    board.addEventListener("pointerleave", () => this.#point(undefined));
    setInterval(() => {
      this.#forget();
      this.#send();
    }, HEARTBEAT_MS);
    addEventListener("pagehide", () => this.#publish({ gone: true }));
    tide.on("status", () => this.#send());
  }

  /** Shows the others where a note is while it is dragged. */
  onHeld: (id: string, place: Place) => void = () => {};

  hold(holding: Presence["holding"]): void {
    this.#holding = holding;
    this.#sendSoon();
  }

  #point(at: Place | undefined): void {
    this.#at = at;
    this.#sendSoon();
  }

  /** A pointer moves more often than others can see. */
  #sendSoon(): void {
    if (this.#sendDue) return;
    this.#sendDue = true;
    setTimeout(() => {
      this.#sendDue = false;
      this.#send();
    }, SEND_MS);
  }

  #send(): void {
    if (document.hidden) return;
    this.#publish({
      ...(this.#at && { at: this.#at }),
      ...(this.#holding && { holding: this.#holding }),
    });
  }

  #publish(news: Omit<Presence, "id" | "name" | "tint">): void {
    // Where a pointer was while there was no link is of no interest afterwards.
    if (this.#tide.status.state !== "online") return;
    const { id, name, tint } = this.#visitor;
    this.#topic.publish({ id, name, tint, ...news }).catch(() => {});
  }

  #hear({ id, name, tint, at, holding, gone }: Presence): void {
    if (id === this.#visitor.id) return;
    if (gone) {
      this.#drop(id);
      return;
    }
    const other = this.#others.get(id) ?? this.#meet(id, name, tint);
    other.heardAt = performance.now();
    other.element.hidden = !at;
    if (at) {
      other.element.style.setProperty("--x", String(at.x));
      other.element.style.setProperty("--y", String(at.y));
    }
    if (holding) this.onHeld(holding.id, holding);
  }

  #meet(id: string, name: string, tint: number): Other {
    const element = make("div", `cursor ${tintName(tint)}`);
    element.append(make("span", "arrow"), make("span", "name", name));
    element.setAttribute("aria-hidden", "true");
    this.#board.append(element);
    const other = { element, heardAt: 0 };
    this.#others.set(id, other);
    // So that a newcomer need not wait for this page's next heartbeat.
    this.#sendSoon();
    this.#tell();
    return other;
  }

  #drop(id: string): void {
    this.#others.get(id)?.element.remove();
    this.#others.delete(id);
    this.#tell();
  }

  /** Whoever has not been heard for a while has gone without a word. */
  #forget(): void {
    const since = performance.now() - SILENCE_MS;
    for (const [id, { heardAt }] of this.#others) if (heardAt < since) this.#drop(id);
  }

  #tell(): void {
    const { size } = this.#others;
    write("visitors", size === 0 ? "only you" : `you and ${count(size, "other")}`);
  }
}

/** Twenty pictures a second look like one movement. */
const SEND_MS = 50;
const HEARTBEAT_MS = 4_000;
const SILENCE_MS = 10_000;
