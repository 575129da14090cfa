// What a minified package could lose and its sources could not: names and texts that applications see.

import { inspect } from "node:util";
import { createClient } from "@tidewire/client";
import { WebSocket } from "ws";

const messageOf = (error) => error.message;
const thrown = (call) => {
  try {
    call();
  } catch (error) {
    return error.message;
  }
};

const tide = createClient(process.argv[2], { WebSocket, identity: "surface" });
const topic = tide.topic("surface.a");
const sub = topic.subscribe(() => {}, { from: "earliest" });
await sub.caughtUp;
const sent = topic.send({ n: 1 }, { expiresMs: 5_000 });
await topic.publish({ n: 2 });
const page = await topic.history({ limit: 1 });
const shown = {
  sent,
  page: Object.keys(page).sort(),
  message: Object.keys(page.messages[0]).sort(),
  data: page.messages.map(({ data }) => data),
  client: Object.keys(tide[inspect.custom]()),
  topic: inspect(topic),
  subscription: inspect(sub),
  dropped: tide.sendsDropped,
  name: thrown(() => tide.topic("a b")),
  option: thrown(() => topic.subscribe(() => {}, { form: "earliest" })),
  address: thrown(() => createClient()),
  stored: await topic.publish(1, { until: "stored" }).catch(messageOf),
};
tide.close();
shown.closed = await topic.history().catch(messageOf);
console.log(JSON.stringify(shown));
