// The default entry where there is no WebAssembly.
delete globalThis.WebAssembly;

const { createClient } = await import("@tidewire/client");
const { WebSocket } = await import("ws");

const tide = createClient(process.argv[2], { WebSocket });
tide.on("error", ({ code, message }) => console.log(JSON.stringify({ code, message })));
tide.connect();
