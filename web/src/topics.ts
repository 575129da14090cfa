// What the demo's topics carry. Topics are open to everybody here, so what comes in is checked before it is used.

/** One second of the machine that the hub runs on. */
export interface HostSample {
  /** Counts the samples of one publisher, without holes: the page checks by it that none is missing. */
  readonly n: number;
  /** Share of all cores that was busy, 0 to 1. */
  readonly cpu: number;
  /** Bytes. */
  readonly memory: { readonly used: number; readonly total: number };
  /** Bytes per second. */
  readonly disk: { readonly read: number; readonly written: number };
  /** Bytes per second. */
  readonly network: { readonly received: number; readonly sent: number };
}

/** A place on the board: 0 is the left or upper edge, 1 the right or lower one. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

export interface Note extends Place {
  readonly text: string;
  readonly tint: number;
}

/** What was done to a note. The whole note travels, so that the log's tail alone is enough to rebuild it. */
export type BoardChange =
  | {
      readonly type: "put";
      /** Names this change: its author knows it again in the log. */
      readonly change: string;
      readonly id: string;
      readonly note: Note;
      /** What its author meant to change; the rest is what they saw. */
      readonly part: "all" | "text" | "place";
    }
  | { readonly type: "remove"; readonly change: string; readonly id: string };

/** What a visitor's pointer does. Nobody needs it later, so its topic keeps nothing. */
export interface Presence {
  readonly id: string;
  readonly name: string;
  readonly tint: number;
  /** Not given while the pointer is elsewhere. */
  readonly at?: Place;
  /** The note that is being dragged, and where it is just now. */
  readonly holding?: { readonly id: string } & Place;
  /** The visitor has left. */
  readonly gone?: true;
}

/** Published by a page to itself, to measure how long a message takes. */
export interface Ping {
  readonly sentAt: number;
}

export interface DemoTopics {
  "demo.host": HostSample;
  "demo.board": BoardChange;
  "demo.cursors": Presence;
  "demo.ping.*": Ping;
}

export function isHostSample(value: unknown): value is HostSample {
  return (
    isRecord(value) &&
    hasNumbers(value, "n", "cpu") &&
    hasNumbers(value.memory, "used", "total") &&
    hasNumbers(value.disk, "read", "written") &&
    hasNumbers(value.network, "received", "sent")
  );
}

export function isBoardChange(value: unknown): value is BoardChange {
  if (!isRecord(value) || !isShortText(value.id) || !isShortText(value.change)) return false;
  if (value.type === "remove") return true;
  return value.type === "put" && PARTS.has(value.part) && isNote(value.note);
}

export function isPresence(value: unknown): value is Presence {
  return (
    isRecord(value) &&
    isShortText(value.id) &&
    isShortText(value.name) &&
    hasNumbers(value, "tint") &&
    (value.at === undefined || isPlace(value.at)) &&
    (value.holding === undefined ||
      (isPlace(value.holding) && isRecord(value.holding) && isShortText(value.holding.id)))
  );
}

function isNote(value: unknown): value is Note {
  return (
    isRecord(value) &&
    isPlace(value) &&
    hasNumbers(value, "tint") &&
    typeof value.text === "string" &&
    value.text.length <= NOTE_CHARS_MAX
  );
}

function isPlace(value: unknown): value is Place {
  if (!isRecord(value)) return false;
  return [value.x, value.y].every((at) => typeof at === "number" && at >= 0 && at <= 1);
}

function hasNumbers(value: unknown, ...names: string[]): boolean {
  return isRecord(value) && names.every((name) => Number.isFinite(value[name]));
}

function isShortText(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= 64;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** As much as fits on a note. */
export const NOTE_CHARS_MAX = 280;
const PARTS = new Set<unknown>(["all", "text", "place"]);
