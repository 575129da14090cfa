// The board as a fold over its log. Everybody reads the same log, so everybody sees the same board; what this page
// has published and not yet read back lies on top, so that its visitor sees it at once.

import type { BoardChange, Note } from "../topics";

export interface ShownNote extends Note {
  /** This page's change to it is not in the log yet. */
  readonly pending: boolean;
}

export class Ledger {
  readonly #notes = new Map<string, Note>();
  readonly #removed = new Set<string>();
  readonly #pending: BoardChange[] = [];
  /** Of those, the ones that the log has and this page has not read back. */
  readonly #acknowledged = new Set<string>();

  /** The log says so: the last writer wins. */
  apply(change: BoardChange): void {
    this.withdraw(change.change);
    if (change.type === "remove") this.#removed.add(change.id);
    fold(this.#notes, this.#removed, change);
  }

  /** This page's own change, on its way. */
  propose(change: BoardChange): void {
    this.#pending.push(change);
  }

  /** Whether this page has published it and not read it back yet. */
  isPending({ change }: BoardChange): boolean {
    return this.#pending.some((own) => own.change === change);
  }

  /** The log has it: it will be read back, unless the log is lost first. */
  acknowledge(name: string): void {
    if (this.#pending.some(({ change }) => change === name)) this.#acknowledged.add(name);
  }

  /** A change of this page's came back in the log, or was refused. */
  withdraw(name: string): void {
    const at = this.#pending.findIndex(({ change }) => change === name);
    if (at >= 0) this.#pending.splice(at, 1);
    this.#acknowledged.delete(name);
  }

  /** The log is read anew, from its beginning. What it had taken is in it, or gone with it. */
  reset(): void {
    for (const name of this.#acknowledged) this.withdraw(name);
    this.#notes.clear();
    this.#removed.clear();
  }

  /** What is to be seen. */
  notes(): Map<string, ShownNote> {
    const notes = new Map(this.#notes);
    const removed = new Set(this.#removed);
    for (const change of this.#pending) fold(notes, removed, change);
    const waiting = new Set(this.#pending.map(({ id }) => id));
    const shown = Array.from(notes, ([id, note]) => [id, { ...note, pending: waiting.has(id) }]);
    return new Map(shown as [string, ShownNote][]);
  }
}

function fold(notes: Map<string, Note>, removed: ReadonlySet<string>, change: BoardChange): void {
  const { id } = change;
  if (change.type === "remove") {
    notes.delete(id);
    return;
  }
  // Whoever was away edits notes that others have removed meanwhile: they stay removed.
  if (removed.has(id)) return;
  const { note, part } = change;
  const before = notes.get(id);
  if (!before || part === "all") notes.set(id, note);
  else if (part === "text") notes.set(id, { ...before, text: note.text });
  else notes.set(id, { ...before, x: note.x, y: note.y });
}
