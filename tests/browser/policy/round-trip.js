// What every runtime must be able to do with the package.

/** Publishes and gets back three kinds of values through the hub; gives what came. */
export async function roundTrip(createClient, url, options) {
  const tide = createClient(url, options);
  const topic = tide.topic("package.round-trip");
  const messages = topic.messages();
  const { outcome } = await messages.ready;
  const values = [{ n: 1 }, "grüße", new Uint8Array([0, 255])];
  await Promise.all(values.map((value) => topic.publish(value)));
  const data = [];
  for await (const item of messages) {
    data.push(item.data instanceof Uint8Array ? Array.from(item.data) : item.data);
    if (data.length === values.length) break;
  }
  tide.close();
  return { outcome, data, state: tide.status.state };
}
