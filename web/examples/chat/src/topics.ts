// What the chat's topics carry: `chat.lobby` is a room, and each of its messages a line.

export interface Line {
  /** Names the line: its author knows it again in the log, and it is shown once if it was stored twice. */
  readonly id: string;
  readonly author: string;
  readonly text: string;
}

export interface ChatTopics {
  "chat.*": Line;
}

/** A contract says what we publish. What others publish is to be looked at. */
export function isLine(value: unknown): value is Line {
  const { id, author, text } = (value ?? {}) as Record<keyof Line, unknown>;
  return isText(id, 64) && isText(author, AUTHOR_CHARS_MAX) && isText(text, TEXT_CHARS_MAX);
}

function isText(value: unknown, charsMax: number): boolean {
  return typeof value === "string" && value !== "" && value.length <= charsMax;
}

export const AUTHOR_CHARS_MAX = 40;
export const TEXT_CHARS_MAX = 1_000;
