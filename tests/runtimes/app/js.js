// What a page whose policy forbids it, or an engine that never had it, does not have.
delete globalThis.WebAssembly;
delete globalThis.DecompressionStream;

const { createClient } = await import("@tidewire/client/js");
const { program } = await import("./program.js");
// The `WebSocket` of Node needs WebAssembly itself.
const { WebSocket } = await import("ws");

const address = JSON.parse(process.argv[2]);
console.log(JSON.stringify(await program(createClient, address, { WebSocket })));
