import { createClient } from "@tidewire/client";
import { program } from "./program.js";

addEventListener("message", async ({ data }) => postMessage(await program(createClient, data)));
