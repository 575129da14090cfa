import { createClient } from "@tidewire/client";
import { roundTrip } from "./round-trip.js";

globalThis.result = roundTrip(createClient, location.hash.slice(1));
