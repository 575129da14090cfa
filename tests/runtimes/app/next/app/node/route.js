import { createClient } from "@tidewire/client";
import { program } from "../../../program.js";
import { options } from "../../../websocket.js";

export async function POST(request) {
  return Response.json(await program(createClient, await request.json(), options));
}
