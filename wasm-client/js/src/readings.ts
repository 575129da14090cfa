// What the engine's rows say, as values that an application sees.

import { codeOf } from "./engine/faults.js";
import type { Rows } from "./engine/rows.js";
import { durabilities, gapReasons, Kind, outcomes, standings } from "./engine/tables.js";
import type { ErrorCode } from "./errors.js";
import { ReceivedMessage } from "./message.js";
import type { Gap, Position, Published, Ready, Status } from "./types.js";
import { fromUtf8 } from "./utf8.js";

/** A message; spans count in `frame`. */
export function messageOf(
  rows: Rows,
  row: number,
  frame: Uint8Array,
  name: string,
): ReceivedMessage {
  const bytes = (column: number, at = row) => {
    const start = rows.lower(at, column);
    return frame.subarray(start, start + rows.upper(at, column));
  };
  // Most messages have neither text, and a view of nothing costs what one of the payload does.
  const text = (column: number, at = row) =>
    rows.upper(at, column) ? fromUtf8(bytes(column, at)) : undefined;
  let next = row + 1;
  const isMore = rows.lower(next, 0) === Kind.Besides;
  const headers = isMore ? bare() : none;
  while (isMore && rows.lower(++next, 0) === Kind.Header)
    headers[text(1, next) ?? ""] = text(2, next) ?? "";
  return new ReceivedMessage(
    text(6) ?? name,
    rows.epoch(row, 2),
    rows.number(row, 1),
    rows.number(row, 3),
    text(5),
    rows.lower(row, 4),
    rows.upper(row, 4) > 0,
    bytes(7),
    isMore ? text(1, row + 1) : undefined,
    headers,
    (isMore && rows.number(row + 1, 2)) || undefined,
    isMore && rows.upper(row + 1, 0) > 0,
  );
}

/** Without a prototype, since `__proto__` and `constructor` are names of headers, too. */
const bare = (): Record<string, string> => Object.create(null);

/** Most messages have none. */
const none: Record<string, string> = Object.freeze(bare());

/** The hub's words. */
export function textOf(rows: Rows, row: number, frame: Uint8Array): string {
  const start = rows.lower(row, 2);
  return fromUtf8(frame.subarray(start, start + rows.upper(row, 2)));
}

export function gapOf(rows: Rows, row: number): Gap {
  return {
    type: "gap",
    reason: gapReasons[rows.number(row, 2) - 1] ?? "unknown",
    from: rows.number(row, 3),
    to: rows.number(row, 4),
    epoch: rows.epoch(row, 5),
  };
}

/** What a reader got: its places, and what is missing. */
export function readyOf(rows: Rows, row: number): Ready {
  const positions: Position[] = [];
  for (let next = row + 1; rows.lower(next, 0) === Kind.Position; next++) {
    positions.push({ offset: rows.number(next, 1), epoch: rows.epoch(next, 2) });
  }
  const outcome = outcomes[rows.number(row, 1) - 1] ?? "gap";
  const whole = rows.number(row, 2) === Number.POSITIVE_INFINITY;
  return { outcome, positions, ...(!whole && { gap: gapOf(rows, row) }) };
}

export function publishedOf(rows: Rows, row: number): Published {
  const doubts = rows.upper(row, 4);
  return {
    offset: rows.number(row, 1),
    epoch: rows.epoch(row, 2),
    durability: durabilities[rows.lower(row, 4) - 1] ?? "memory",
    duplicate: (doubts & 1) > 0,
    maybeDuplicate: doubts > 1,
  };
}

export function statusOf(rows: Rows, row: number): Omit<Status, "storage"> {
  const reason = rows.number(row, 1);
  const retryAt = Date.now() + rows.number(row, 2);
  return {
    state: standings[rows.upper(row, 0)] ?? "offline",
    ...(reason > 0 && { reason: codeOf(reason) }),
    ...(retryAt < Number.POSITIVE_INFINITY && { retryAt }),
  };
}

/** Why something is refused, and whether doing the same again can help. */
export function refusalOf(rows: Rows, row: number): [code: ErrorCode, retryable: boolean] {
  return [codeOf(rows.lower(row, 1)), rows.upper(row, 1) > 0];
}

/** Where the latest message of a key is, of a publish whose condition failed. */
export function currentOf(rows: Rows, row: number): Position | undefined {
  const offset = rows.number(row, 2);
  return offset ? { epoch: rows.epoch(row, 4), offset } : undefined;
}
