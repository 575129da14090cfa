import { createClient, initWasm } from "@tidewire/client/slim";
import wasm from "@tidewire/client/tidewire.wasm?url";
import { address } from "./address.js";
import { program } from "./program.js";

globalThis.result = initWasm(wasm).then(() => program(createClient, address()));
