const { createClient } = require("@tidewire/client");
const { WebSocket } = require("ws");

(async () => {
  const { roundTrip } = await import("./round-trip.js");
  const result = await roundTrip(createClient, process.argv[2], { WebSocket });
  console.log(JSON.stringify(result));
})();
