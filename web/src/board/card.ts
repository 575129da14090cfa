// A note on the board, as its visitor touches it: dragged or moved by the arrow keys, written on, thrown away.

import { make } from "../elements";
import { NOTE_CHARS_MAX, type Place } from "../topics";
import { tintName } from "../visitor";
import type { ShownNote } from "./ledger";

export interface CardEvents {
  /** The note is on its way, not yet put down. */
  dragged(place: Place): void;
  moved(place: Place): void;
  written(text: string): void;
  removed(): void;
}

export class Card {
  readonly element = make("article", "card");
  readonly #grip = make("button", "grip");
  readonly #text = make("textarea");
  readonly #events: CardEvents;
  #place: Place = { x: 0, y: 0 };
  #isHeld = false;
  #writing: ReturnType<typeof setTimeout> | undefined;
  #moving: ReturnType<typeof setTimeout> | undefined;

  constructor(events: CardEvents) {
    this.#events = events;
    const remove = make("button", "remove", "×");
    remove.type = this.#grip.type = "button";
    remove.setAttribute("aria-label", "Remove this note");
    this.#grip.setAttribute("aria-label", "Move this note: drag it, or use the arrow keys");
    this.#text.setAttribute("aria-label", "Note");
    this.#text.maxLength = NOTE_CHARS_MAX;
    this.#text.placeholder = "Write something";
    this.element.append(this.#grip, this.#text, remove);

    remove.addEventListener("click", () => events.removed());
    this.#text.addEventListener("input", () => this.#write(WRITE_PAUSE_MS));
    this.#text.addEventListener("blur", () => this.#writing && this.#write(0));
    this.#grip.addEventListener("keydown", (event) => this.#key(event));
    this.#grip.addEventListener("pointerdown", (event) => this.#grab(event));
  }

  show(note: ShownNote): void {
    this.element.className = `card ${tintName(note.tint)}`;
    this.element.setAttribute("aria-label", note.text ? `Note: ${note.text}` : "Empty note");
    this.element.toggleAttribute("data-pending", note.pending);
    // Whoever is at work on it is not interrupted by what the others do.
    if (!this.#writing && this.#text.value !== note.text) this.#text.value = note.text;
    if (!this.#isHeld && !this.#moving) this.place(note);
  }

  /** Puts it somewhere for the eye only. */
  place(place: Place): void {
    this.#place = { x: place.x, y: place.y };
    this.element.style.setProperty("--x", String(place.x));
    this.element.style.setProperty("--y", String(place.y));
  }

  focus(): void {
    this.#text.focus({ preventScroll: true });
  }

  #write(pauseMs: number): void {
    clearTimeout(this.#writing);
    this.#writing = setTimeout(() => {
      this.#writing = undefined;
      this.#events.written(this.#text.value);
    }, pauseMs);
  }

  #key(event: KeyboardEvent): void {
    if (event.key === "Delete") this.#events.removed();
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const { x, y } = this.#place;
    this.place({ x: clamp(x + step[0]), y: clamp(y + step[1]) });
    clearTimeout(this.#moving);
    this.#moving = setTimeout(() => {
      this.#moving = undefined;
      this.#events.moved(this.#place);
    }, WRITE_PAUSE_MS);
  }

  #grab(down: PointerEvent): void {
    const board = this.element.parentElement;
    if (!board || down.button !== 0) return;
    const start = this.#place;
    const [width, height] = [
      board.clientWidth - this.element.offsetWidth,
      board.clientHeight - this.element.offsetHeight,
    ];
    const over = new AbortController();
    const on = (type: string, handle: (event: PointerEvent) => void) =>
      this.#grip.addEventListener(type, (event) => handle(event as PointerEvent), {
        signal: over.signal,
      });
    const end = () => {
      over.abort();
      this.#isHeld = false;
      this.element.removeAttribute("data-held");
      if (this.#place !== start) this.#events.moved(this.#place);
    };
    this.#isHeld = true;
    this.element.setAttribute("data-held", "");
    this.#grip.setPointerCapture(down.pointerId);
    on("pointermove", ({ clientX, clientY }) => {
      this.place({
        x: clamp(start.x + (clientX - down.clientX) / width),
        y: clamp(start.y + (clientY - down.clientY) / height),
      });
      this.#events.dragged(this.#place);
    });
    on("pointerup", end);
    on("pointercancel", end);
  }
}

function clamp(share: number): number {
  return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
}

const STEPS: Record<string, readonly [number, number] | undefined> = {
  ArrowLeft: [-0.02, 0],
  ArrowRight: [0.02, 0],
  ArrowUp: [0, -0.03],
  ArrowDown: [0, 0.03],
};
/** Shorter than a thought, longer than a keystroke. */
const WRITE_PAUSE_MS = 300;
