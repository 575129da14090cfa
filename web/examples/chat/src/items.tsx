// What stands in a room's list. React writes what people wrote as text, whatever is in it.

import type { Gap } from "@tidewire/client";
import { memo, type ReactNode } from "react";
import type { Entry, Outgoing, Room } from "./room";
import type { Line } from "./topics";

/** Entries never change: a new one renders itself and no other. */
export const EntryItem = memo(({ entry }: { entry: Entry }) => {
  if (entry.type === "gap") return <li className="gap">{GAPS[entry.reason]}</li>;
  const at = new Date(entry.at);
  return (
    <LineItem line={entry.line}>
      <time dateTime={at.toISOString()}>{CLOCK.format(at)}</time>
    </LineItem>
  );
});

export function OutgoingItem({ outgoing, room }: { outgoing: Outgoing; room: Room }) {
  const { line, state, why } = outgoing;
  if (state !== "failed") {
    return (
      <LineItem line={line} state={state}>
        <small>{state === "sent" ? "sent" : "waiting to be sent"}</small>
      </LineItem>
    );
  }
  return (
    <LineItem line={line} state={state}>
      <small role="alert">Not sent: {why}</small>
      <button type="button" onClick={() => room.send(line)}>
        Try again
      </button>
      <button type="button" onClick={() => room.discard(line)}>
        Discard
      </button>
    </LineItem>
  );
}

function LineItem(props: { line: Line; state?: Outgoing["state"]; children: ReactNode }) {
  const { line, state, children } = props;
  return (
    <li data-state={state}>
      <b dir="auto">{line.author}</b>
      <p dir="auto">{line.text}</p>
      {children}
    </li>
  );
}

const GAPS: Record<Gap["reason"], string> = {
  retention: "Lines are missing here: the hub has not kept them.",
  forgotten: "Lines are missing here: the hub has forgotten this room for a while.",
  epoch_changed: "The hub was started anew: lines that you have not seen are gone.",
  beyond_end: "Lines may be missing here: the hub has lost the newest ones.",
  too_slow: "Lines are missing here: they came faster than this page could take them.",
  compacted: "Lines may be missing here: which were taken back meanwhile nobody knows.",
  unknown: "Lines are missing here.",
};
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
