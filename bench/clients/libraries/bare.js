// No library: a WebSocket and JSON.parse, for what everybody pays.

export async function subscribe(url, _topic, { kind }, take) {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  socket.onmessage =
    kind === "json"
      ? ({ data }) => take(JSON.parse(data))
      : ({ data }) => take(new Uint8Array(data));
  return () => socket.close();
}
