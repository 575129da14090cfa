import { createClient } from "@tidewire/client";
import { program } from "./program.js";

export default {
  async fetch(request) {
    return Response.json(await program(createClient, await request.json()));
  },
};
