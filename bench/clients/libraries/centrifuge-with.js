// What both of Centrifuge's clients do.

/** `subscribe` and `publisher` with a class of clients. */
export function using(Centrifuge) {
  const connect = (url) => new Centrifuge(`${url}/connection/websocket`);
  return {
    async subscribe(url, topic, _recording, take) {
      const client = connect(url);
      const subscription = client.newSubscription(topic);
      subscription.on("publication", ({ data }) => take(data));
      subscription.subscribe();
      client.connect();
      await subscription.ready();
      return () => client.disconnect();
    },
    publisher(url, topic) {
      const client = connect(url);
      client.connect();
      return { publish: (value) => client.publish(topic, value), end: () => client.disconnect() };
    },
  };
}
