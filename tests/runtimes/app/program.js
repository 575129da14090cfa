// The same small program in every runtime.

/**
 * Subscribes, publishes, asks to be cut off, publishes meanwhile, gets what it missed, and leaves. Gives what it saw.
 */
export async function program(createClient, { url, name }, options) {
  const tide = createClient(url, options);
  const states = [];
  const lost = new Promise((lose) => {
    tide.on("status", ({ state }) => {
      if (state !== states.at(-1) && state !== "connecting") states.push(state);
      if (state === "offline") lose();
    });
  });
  const topic = tide.topic(name);
  const messages = topic.messages();
  const { outcome } = await messages.ready;
  const data = [];
  const hear = async (count) => {
    for (; count > 0; count--) data.push(told((await messages.next()).value));
  };

  await Promise.all([{ n: 1 }, "grüße", new Uint8Array([0, 255])].map((v) => topic.publish(v)));
  await hear(3);
  const cut = topic.publish("cut");
  await lost;
  const kept = topic.publish("kept");
  await hear(3);
  await Promise.all([cut, kept]);
  tide.close();
  return { outcome, data, states, state: tide.status.state };
}

/** A message's value, with bytes as numbers; what is no message as it is. */
function told({ type, data, ...rest }) {
  if (type !== "message") return { type, ...rest };
  return ArrayBuffer.isView(data) ? { bytes: Array.from(data) } : data;
}
