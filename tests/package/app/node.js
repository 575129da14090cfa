import { createClient } from "@tidewire/client";
import { WebSocket } from "ws";
import { roundTrip } from "./round-trip.js";

const result = await roundTrip(createClient, process.argv[2], { WebSocket });
console.log(JSON.stringify(result));
