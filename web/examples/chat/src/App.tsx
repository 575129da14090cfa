// The page: rooms, how it stands with the hub, and the room that we are in.

import { Connection } from "./Connection";
import { rooms, useRoomName } from "./chat";
import { RoomPanel } from "./RoomPanel";

export function App() {
  const current = useRoomName();
  return (
    <>
      <header>
        <h1>Chat</h1>
        <nav aria-label="Rooms">
          {Object.keys(rooms).map((name) => (
            <a key={name} href={`#${name}`} aria-current={name === current ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <Connection />
      </header>
      <RoomPanel key={current} name={current} room={rooms[current]} />
    </>
  );
}
