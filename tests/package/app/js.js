// What a page whose policy forbids it, or an engine that never had it, does not have.
delete globalThis.WebAssembly;
delete globalThis.DecompressionStream;

const { createClient } = await import("@tidewire/client/js");
const { WebSocket } = await import("ws");
const { roundTrip } = await import("./round-trip.js");

const result = await roundTrip(createClient, process.argv[2], { WebSocket });
console.log(JSON.stringify(result));
