// Workers have no import maps: the package is named by its place.
import { createClient } from "./node_modules/@tidewire/client/dist/index.js";
import { roundTrip } from "./round-trip.js";

addEventListener("message", async ({ data: url }) => {
  postMessage(await roundTrip(createClient, url));
});
