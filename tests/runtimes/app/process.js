import { createClient } from "@tidewire/client";
import { program } from "./program.js";
import { options } from "./websocket.js";

console.log(JSON.stringify(await program(createClient, JSON.parse(process.argv[2]), options)));
