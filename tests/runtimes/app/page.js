import { createClient } from "@tidewire/client";
import { address } from "./address.js";
import { program } from "./program.js";

globalThis.result = program(createClient, address());
