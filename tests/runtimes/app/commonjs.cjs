const { createClient } = require("@tidewire/client");

(async () => {
  const { program } = await import("./program.js");
  const { options } = await import("./websocket.js");
  console.log(JSON.stringify(await program(createClient, JSON.parse(process.argv[2]), options)));
})();
