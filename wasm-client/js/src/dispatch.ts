// From the engine's rows to the application: statuses, outcomes, messages and gaps, in the engine's order.

import type { Driver } from "./driver.js";
import { Kind, type Rows } from "./engine/rows.js";
import { codeOf, fault } from "./errors.js";
import { ReceivedMessage, textAt } from "./message.js";
import type { Gap, Position, Published, Ready, Status } from "./types.js";

const states = ["connecting", "online", "offline", "closed"] as const;
const outcomes = ["live", "resumed", "gap"] as const;
const reasons = ["retention", "epoch_changed", "forgotten", "beyond_end", "too_slow"] as const;
const durabilities = ["memory", "synced", "replicated", "replicated_synced"] as const;

/** Tells the application what the rows say; spans count in `frame`. */
export function dispatch(driver: Driver, rows: Rows, frame: Uint8Array): void {
  for (let row = 0; row < rows.count && !driver.closed; row++) {
    const number = rows.number(row, 1);
    const listener = driver.listeners.get(number);
    switch (rows.number(row, 0)) {
      case Kind.Message:
        listener?.give(message(rows, row, frame, listener.name));
        break;
      case Kind.Gap:
        listener?.give(gap(rows, row, 2));
        break;
      case Kind.Ready:
        listener?.begin(ready(rows, row));
        break;
      case Kind.Refused:
        if (listener && driver.forget(listener)) {
          const retryable = rows.number(row, 3) > 0;
          const error = fault(rows.number(row, 2), `subscribe to ${listener.name}`, retryable);
          listener.end(error);
          driver.report(error);
        }
        break;
      case Kind.Published:
      case Kind.Failed:
        settle(driver, rows, row);
        break;
      case Kind.Status:
        driver.setStatus(status(rows, row));
        break;
    }
  }
}

function settle(driver: Driver, rows: Rows, row: number): void {
  const entry = driver.entries.byNumber(rows.number(row, 1));
  if (!entry) return;
  if (rows.number(row, 0) === Kind.Published) {
    driver.entries.remove(entry);
    entry.resolve(published(rows, row));
  } else {
    driver.drop(entry, codeOf(rows.number(row, 2)), rows.number(row, 3) > 0);
  }
}

function message(rows: Rows, row: number, frame: Uint8Array, name: string): ReceivedMessage {
  const text = (column: number) =>
    textAt(frame, rows.number(row, column), rows.number(row, column + 1));
  const start = rows.number(row, 10);
  return new ReceivedMessage(
    text(8) || name,
    rows.epoch(row, 3),
    rows.number(row, 2),
    rows.number(row, 4),
    text(6) || undefined,
    rows.number(row, 5),
    frame.subarray(start, start + rows.number(row, 11)),
  );
}

function gap(rows: Rows, row: number, column: number): Gap {
  return {
    type: "gap",
    reason: reasons[rows.number(row, column) - 1] ?? "unknown",
    from: rows.number(row, column + 1),
    to: rows.number(row, column + 2),
    epoch: rows.epoch(row, column + 3),
  };
}

function ready(rows: Rows, row: number): Ready {
  const positions: Position[] = [];
  for (let next = row + 1; rows.number(next, 0) === Kind.Position; next++) {
    positions.push({ offset: rows.number(next, 2), epoch: rows.epoch(next, 3) });
  }
  const outcome = outcomes[rows.number(row, 2) - 1] ?? "gap";
  return rows.number(row, 3) < 0
    ? { outcome, positions }
    : { outcome, positions, gap: gap(rows, row, 3) };
}

function published(rows: Rows, row: number): Published {
  return {
    offset: rows.number(row, 2),
    epoch: rows.epoch(row, 3),
    durability: durabilities[rows.number(row, 4) - 1] ?? "memory",
    duplicate: rows.number(row, 5) > 0,
    maybeDuplicate: rows.number(row, 6) > 0,
  };
}

function status(rows: Rows, row: number): Omit<Status, "storage"> {
  const reason = rows.number(row, 2);
  const retryInMs = rows.number(row, 3);
  return {
    state: states[rows.number(row, 1)] ?? "offline",
    ...(reason > 0 && { reason: codeOf(reason) }),
    ...(retryInMs >= 0 && { retryInMs }),
  };
}
