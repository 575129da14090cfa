// Two of these at once meet at a hub, each with a client of its own.

/** Says that it is there, and leaves when it has heard two who are. */
export async function meeting(createClient, { url, name }) {
  const tide = createClient(url);
  const topic = tide.topic(name);
  const messages = topic.messages({ from: "earliest" });
  await messages.ready;
  await topic.publish("here");
  await messages.next();
  await messages.next();
  tide.close();
  return tide.status.state;
}
