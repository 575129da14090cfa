// Workers have no import maps: the package is named by its place.
import { createClient } from "./node_modules/@tidewire/client/dist/index.js";
import { program } from "./program.js";

addEventListener("message", async ({ data }) => postMessage(await program(createClient, data)));
