import { createClient, initWasm } from "@tidewire/client/slim";
import { address } from "./address.js";
import { program } from "./program.js";

const wasm = new URL("@tidewire/client/tidewire.wasm", import.meta.url);
globalThis.result = initWasm(wasm).then(() => program(createClient, address()));
