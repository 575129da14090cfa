// A recording as sockets hand it over: text as strings, bytes as ArrayBuffers.

export function decode(recording) {
  return {
    ...recording,
    handshake: recording.handshake.map(frameOf),
    frames: recording.frames.map(frameOf),
  };
}

function frameOf(frame) {
  if (typeof frame === "string") return frame;
  return Uint8Array.from(atob(frame.base64), (character) => character.charCodeAt(0)).buffer;
}
