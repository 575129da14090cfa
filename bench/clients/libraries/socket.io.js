// `socket.io-client`, WebSocket only, without the polling that it begins with by default.

import { io } from "socket.io-client";

export async function subscribe(url, topic, { kind }, take) {
  const socket = connect(url);
  socket.on("message", kind === "json" ? take : (bytes) => take(new Uint8Array(bytes)));
  await socket.emitWithAck("subscribe", topic);
  return () => socket.disconnect();
}

export function publisher(url, topic) {
  const socket = connect(url);
  return {
    publish: (value) => socket.emitWithAck("publish", topic, value),
    end: () => socket.disconnect(),
  };
}

function connect(url) {
  return io(url, { transports: ["websocket"], forceNew: true });
}
