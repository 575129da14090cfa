import { readFile } from "node:fs/promises";
import { createClient, initWasm } from "@tidewire/client/slim";
import { WebSocket } from "ws";
import { roundTrip } from "./round-trip.js";

await initWasm(readFile(new URL(import.meta.resolve("@tidewire/client/tidewire.wasm"))));
const result = await roundTrip(createClient, process.argv[2], { WebSocket });
console.log(JSON.stringify(result));
