// The page's one client and its rooms, and the hooks that components see them by.

import { createClient, type Status } from "@tidewire/client";
import { useSyncExternalStore } from "react";
import { Room, type View } from "./room";
import type { ChatTopics } from "./topics";

export const tide = createClient<ChatTopics>(location.origin);
// What no promise and no handler is left to tell, such as a message of others that is no JSON.
tide.on("error", ({ message }) => console.warn(message));

export const rooms = { lobby: room("lobby"), notices: room("notices"), staff: room("staff") };
export type RoomName = keyof typeof rooms;

export function useStatus(): Status {
  return useSyncExternalStore(watchStatus, () => tide.status);
}

export function useRoom(room: Room): View {
  return useSyncExternalStore(room.watch, room.view);
}

/** The room that the address names, `#notices`. */
export function useRoomName(): RoomName {
  const hash = useSyncExternalStore(watchHash, () => location.hash.slice(1));
  return Object.hasOwn(rooms, hash) ? (hash as RoomName) : "lobby";
}

function room(name: string): Room {
  return new Room(tide.topic(`chat.${name}`));
}

function watchStatus(changed: () => void): () => void {
  return tide.on("status", changed);
}

function watchHash(changed: () => void): () => void {
  addEventListener("hashchange", changed);
  return () => removeEventListener("hashchange", changed);
}
