import { createClient } from "@tidewire/client";
import { meeting } from "./meeting.js";
import { program } from "./program.js";

// Made where no request is, and nothing may be sent or drawn by lot.
const early = createClient("ws://127.0.0.1:1");

export default {
  async fetch(request) {
    if (early.status.state !== "idle") throw new Error(early.status.state);
    const address = await request.json();
    const { pathname } = new URL(request.url);
    const run = pathname === "/meeting" ? meeting : program;
    return Response.json(await run(createClient, address));
  },
};
