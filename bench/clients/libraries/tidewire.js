// `@tidewire/client`. The outbox is in memory, as it is by default.

import { createClient } from "@tidewire/client";

/** Calls `take` with every message's value; resolves, when subscribed, with a function that ends it. */
export async function subscribe(url, topic, { kind, pace }, take) {
  const tide = createClient(url);
  const handler =
    kind === "json" ? (message) => take(message.data) : (message) => take(message.view());
  const from = pace === "full" ? "earliest" : "latest";
  await tide.topic(topic).subscribe(handler, { from }).ready;
  return () => tide.close();
}

/** `publish(value)` resolves when it is acknowledged. */
export function publisher(url, topic) {
  const tide = createClient(url, { identity: "publisher" });
  const published = tide.topic(topic);
  return { publish: (value) => published.publish(value), end: () => tide.close() };
}
