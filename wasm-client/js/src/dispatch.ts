// From the engine's rows to the application: statuses, outcomes, messages and gaps, in the engine's order.

import type { Driver } from "./driver.js";
import { Kind, type Rows } from "./engine/rows.js";
import { codeOf, TidewireError } from "./errors.js";
import { ReceivedMessage, utf8 } from "./message.js";
import type { Gap, Position, Published, Ready, Status } from "./types.js";

const states = ["connecting", "online", "offline", "closed"] as const;
const outcomes = ["live", "resumed", "gap"] as const;
const reasons = ["retention", "epoch_changed", "forgotten", "beyond_end", "too_slow"] as const;
const durabilities = ["memory", "synced", "replicated", "replicated_synced"] as const;

/** Tells the application what the rows say; spans count in `frame`. */
export function dispatch(driver: Driver, rows: Rows, frame: Uint8Array): void {
  for (let row = 0; row < rows.count && !driver.closed; row++) {
    const listener = driver.listeners.get(rows.upper(row, 0));
    switch (rows.lower(row, 0)) {
      case Kind.Message:
        listener?.give(message(rows, row, frame, listener.name));
        break;
      case Kind.Gap:
        listener?.give(gap(rows, row));
        break;
      case Kind.Ready:
        listener?.begin(ready(rows, row));
        break;
      case Kind.Refused:
        if (listener) {
          const about = `subscribe to ${listener.name}`;
          const code = codeOf(rows.lower(row, 1));
          driver.refuse(listener, new TidewireError(code, about, rows.upper(row, 1) > 0));
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
  const entry = driver.entries.find(rows.number(row, 3));
  if (!entry) return;
  if (rows.lower(row, 0) === Kind.Published) {
    driver.entries.remove(entry);
    entry.resolve(published(rows, row));
  } else {
    driver.drop(entry, codeOf(rows.lower(row, 1)), rows.upper(row, 1) > 0);
  }
}

function message(rows: Rows, row: number, frame: Uint8Array, name: string): ReceivedMessage {
  const bytes = (column: number) => {
    const start = rows.lower(row, column);
    return frame.subarray(start, start + rows.upper(row, column));
  };
  // Most messages have neither text, and a view of nothing costs what one of the payload does.
  const text = (column: number) =>
    rows.upper(row, column) ? utf8.decode(bytes(column)) : undefined;
  return new ReceivedMessage(
    text(6) ?? name,
    rows.epoch(row, 2),
    rows.number(row, 1),
    rows.number(row, 3),
    text(5),
    rows.lower(row, 4),
    rows.upper(row, 4) > 0,
    bytes(7),
  );
}

function gap(rows: Rows, row: number): Gap {
  return {
    type: "gap",
    reason: reasons[rows.number(row, 2) - 1] ?? "unknown",
    from: rows.number(row, 3),
    to: rows.number(row, 4),
    epoch: rows.epoch(row, 5),
  };
}

function ready(rows: Rows, row: number): Ready {
  const positions: Position[] = [];
  for (let next = row + 1; rows.lower(next, 0) === Kind.Position; next++) {
    positions.push({ offset: rows.number(next, 1), epoch: rows.epoch(next, 2) });
  }
  const outcome = outcomes[rows.number(row, 1) - 1] ?? "gap";
  const whole = rows.number(row, 2) === Number.POSITIVE_INFINITY;
  return { outcome, positions, ...(!whole && { gap: gap(rows, row) }) };
}

function published(rows: Rows, row: number): Published {
  const doubts = rows.upper(row, 4);
  return {
    offset: rows.number(row, 1),
    epoch: rows.epoch(row, 2),
    durability: durabilities[rows.lower(row, 4) - 1] ?? "memory",
    duplicate: (doubts & 1) > 0,
    maybeDuplicate: doubts > 1,
  };
}

function status(rows: Rows, row: number): Omit<Status, "storage"> {
  const reason = rows.number(row, 1);
  const retryInMs = rows.number(row, 2);
  return {
    state: states[rows.upper(row, 0)] ?? "offline",
    ...(reason > 0 && { reason: codeOf(reason) }),
    ...(retryInMs < Number.POSITIVE_INFINITY && { retryInMs }),
  };
}
