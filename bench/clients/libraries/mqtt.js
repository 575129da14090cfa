// `mqtt`, version 3.1.1 of the protocol, as it comes. It leaves JSON to the application.

import mqtt from "mqtt";

export async function subscribe(url, topic, { kind }, take) {
  const client = await mqtt.connectAsync(url);
  client.on(
    "message",
    kind === "json"
      ? (_topic, payload) => take(JSON.parse(payload.toString()))
      : (_topic, payload) => take(payload),
  );
  await client.subscribeAsync(topic);
  return () => client.end(true);
}

export function publisher(url, topic) {
  const client = mqtt.connect(url);
  return {
    publish: (value) => client.publishAsync(topic, encoded(value), { qos: 1 }),
    end: () => client.end(true),
  };
}

function encoded(value) {
  return value instanceof Uint8Array ? Buffer.from(value) : JSON.stringify(value);
}
