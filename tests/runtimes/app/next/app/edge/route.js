import { createClient } from "@tidewire/client";
import { program } from "../../../program.js";

export const runtime = "edge";

export async function POST(request) {
  return Response.json(await program(createClient, await request.json()));
}
