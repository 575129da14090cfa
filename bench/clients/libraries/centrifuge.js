// `centrifuge`, JSON protocol.

import { Centrifuge } from "centrifuge";

export async function subscribe(url, topic, _recording, take) {
  const client = new Centrifuge(`${url}/connection/websocket`);
  const subscription = client.newSubscription(topic);
  subscription.on("publication", ({ data }) => take(data));
  subscription.subscribe();
  client.connect();
  await subscription.ready();
  return () => client.disconnect();
}

export function publisher(url, topic) {
  const client = new Centrifuge(`${url}/connection/websocket`);
  client.connect();
  return { publish: (value) => client.publish(topic, value), end: () => client.disconnect() };
}
