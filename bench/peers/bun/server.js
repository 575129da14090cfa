// Bun's own pub/sub (uWebSockets): subscribers name their topic in the address, payloads name theirs.
const answers = process.argv.includes("--answers");
const tls = process.argv.indexOf("--tls") + 1;
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  ...(tls && { tls: { cert: Bun.file(process.argv[tls]), key: Bun.file(process.argv[tls + 1]) } }),
  async fetch(request, server) {
    const topic = new URL(request.url).searchParams.get("topic");
    if (request.method === "POST") {
      server.publish(topic, await request.bytes(), false);
      return new Response("ok");
    }
    if (server.upgrade(request, { data: { topic } })) return;
    return new Response("WebSocket only", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    sendPings: false,
    open(socket) {
      if (socket.data.topic) socket.subscribe(socket.data.topic);
    },
    message(socket, payload) {
      server.publish(payload.latin1Slice(0, 8), payload, false);
      if (answers) socket.sendBinary(payload.subarray(0, 16));
    },
  },
});
console.log(`listening on http${tls ? "s" : ""}://127.0.0.1:${server.port}`);
