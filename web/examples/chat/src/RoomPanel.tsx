// A room: its lines, what is missing between them, what is on its way, and a form to write.

import { Composer } from "./Composer";
import { useRoom } from "./chat";
import { EntryItem, OutgoingItem } from "./items";
import type { Room } from "./room";

export function RoomPanel({ name, room }: { name: string; room: Room }) {
  const { state, why, entries, outgoing, older } = useRoom(room);
  if (state === "refused") {
    return (
      <main className="refused">
        <h2>You cannot be in “{name}”</h2>
        <p role="alert">{why}</p>
        <button type="button" onClick={room.enter}>
          Try again
        </button>
      </main>
    );
  }
  const isEmpty = entries.length + outgoing.length === 0;
  return (
    <main>
      <div
        role="log"
        aria-label={name}
        aria-busy={state === "entering"}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is to be scrolled by keys.
        tabIndex={0}
        onScroll={({ currentTarget }) => isAtTop(currentTarget) && room.showOlder()}
      >
        <div>
          {older === "some" && (
            <button type="button" onClick={room.showOlder}>
              Older lines
            </button>
          )}
          {older === "loading" && <small>Looking for older lines…</small>}
          <ol>
            {entries.map((entry) => (
              <EntryItem key={entry.key} entry={entry} />
            ))}
            {outgoing.map((each) => (
              <OutgoingItem key={each.line.id} outgoing={each} room={room} />
            ))}
          </ol>
          {state === "entering" && <small>Waiting for the hub…</small>}
          {state === "inside" && isEmpty && <small>Nothing was said here yet.</small>}
        </div>
      </div>
      <Composer onLine={room.send} />
    </main>
  );
}

/** The box is turned round: it counts from its end, downwards. */
function isAtTop({ scrollTop, clientHeight, scrollHeight }: HTMLElement): boolean {
  return clientHeight - scrollTop > scrollHeight - NEAR_PX;
}

const NEAR_PX = 100;
