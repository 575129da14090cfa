import { readFile } from "node:fs/promises";
import { createClient, initWasm } from "@tidewire/client/slim";
import { program } from "./program.js";
import { options } from "./websocket.js";

await initWasm(readFile(new URL(import.meta.resolve("@tidewire/client/tidewire.wasm"))));
console.log(JSON.stringify(await program(createClient, JSON.parse(process.argv[2]), options)));
