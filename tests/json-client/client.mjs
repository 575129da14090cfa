// A Tidewire client over JSON, written from docs/PROTOCOL.md alone. It shows that the text suffices, and how
// little a port needs: publish with acknowledgement and resend, subscribe with resume and gaps, reconnect.

const Socket = globalThis.WebSocket ?? (await import("ws")).WebSocket;
const RETRYABLE = {
  sign_in_timeout: 3,
  rate_limited: 9,
  out_of_order: 10,
  not_stored: 13,
  draining: 15,
};
Object.assign(RETRYABLE, { too_slow: 16, resume: 17, silent: 18, overloaded: 19, internal: 21 });
const SEND = 2 ** 11; // of `features`
const FIRST_SEND = 2 ** 20; // handles from here on are for `send`

export class Client {
  #socket;
  #welcome; // while signed in
  #retry; // timer
  #failures = 0;
  #producer;
  #outboxes = []; // by handle
  #subscriptions = []; // by request number, from 1
  #tails = new Map(); // of this connection: tail number to subscription
  #sends = new Map(); // of this connection: topic to the handle of its updates

  /** `onEnd(error)` is called when the hub wants no more of this client. */
  constructor(url, onEnd = () => {}, producer = crypto.randomUUID().replaceAll("-", "")) {
    Object.assign(this, { url, onEnd });
    this.#producer = producer;
    this.#connect();
  }

  /** Resolves with `{ epoch, offset, duplicate }` when the hub has stored the message. */
  publish(topic, data) {
    let outbox = this.#outboxes.find((known) => known.topic === topic);
    if (!outbox) {
      const handle = this.#outboxes.length;
      outbox = { handle, topic, entries: new Map(), next: 1, flight: Infinity };
      this.#outboxes.push(outbox);
      if (this.#isUp) this.#open(outbox);
    }
    return new Promise((resolve, reject) => {
      outbox.entries.set(outbox.next++, { data, resolve, reject });
      this.#pump(outbox);
    });
  }

  /** Calls `onMessage(message)`, `onGap(gap)` where messages are gone, and `onError(error)` when it is over. */
  subscribe(name, { from = "latest", onMessage, onGap, onError }) {
    const request = this.#subscriptions.length + 1;
    const subscription = { request, name, from, onMessage, onGap, onError };
    this.#subscriptions.push(subscription);
    if (this.#isUp) this.#subscribe(subscription);
  }

  /** Sends an update that may be lost. `false` if it is lost already. */
  send(topic, data) {
    if (!(this.#welcome?.features & SEND) || this.#socket.bufferedAmount > 65_536) return false;
    let handle = this.#sends.get(topic);
    if (handle === undefined) {
      handle = FIRST_SEND + this.#sends.size;
      this.#sends.set(topic, handle);
      this.#send({ type: "open", handle, topic, unacknowledged: true });
    }
    this.#send({ type: "send", handle, data });
    return true;
  }

  /** Breaks the link without a word, as a network would. The client comes back by itself. */
  cut() {
    (this.#socket.terminate ?? this.#socket.close).call(this.#socket);
  }

  close() {
    clearTimeout(this.#retry);
    this.#socket.onclose = () => clearTimeout(this.#socket.silence);
    this.#socket.close();
  }

  #connect() {
    const socket = new Socket(this.url, ["tidewire.v1.json"]);
    this.#socket = socket;
    socket.onopen = () => {
      this.#send({ type: "hello", producer: this.#producer, agent: "json-client" });
      this.#tails.clear();
      this.#sends.clear();
      for (const subscription of this.#subscriptions) this.#subscribe(subscription);
      for (const outbox of this.#outboxes) this.#open(outbox);
    };
    socket.onmessage = ({ data }) => {
      clearTimeout(socket.silence);
      socket.silence = setTimeout(() => this.cut(), 2 * (this.#welcome?.heartbeat_ms ?? 15_000));
      for (const frame of [JSON.parse(data)].flat()) this.#take(frame);
    };
    socket.onerror = () => {}; // `onclose` follows
    socket.onclose = ({ code }) => {
      clearTimeout(socket.silence);
      this.#welcome = undefined;
      const isFinal = code > 4000 && !Object.values(RETRYABLE).includes(code - 4000);
      if (isFinal || code === 1009)
        // what was too large now will be so again
        return this.onEnd(new Error(`the hub closed with ${code}`));
      const wait =
        socket.reconnectAfter || Math.random() * Math.min(1000 * 2 ** this.#failures++, 30_000);
      this.#retry = setTimeout(() => this.#connect(), wait);
    };
  }

  get #isUp() {
    return this.#socket.readyState === Socket.OPEN;
  }

  #send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  #take(frame) {
    const { type, handle = 0, request = 0, tail } = frame;
    if (type === "welcome") this.#signedIn(frame);
    else if (type === "heartbeat") this.#send({ type: "heartbeat" });
    else if (type === "goodbye") this.#socket.reconnectAfter = frame.reconnect_after_ms;
    else if (type === "detached") this.onEnd(new Error(frame.code));
    else if (type === "opened") this.#opened(this.#outboxes[handle], frame);
    else if (handle >= FIRST_SEND)
      return; // the topic's updates are refused: they go nowhere
    else if (type === "acked" || type === "refused") this.#answered(this.#outboxes[handle], frame);
    else if (type === "failed") this.#subscriptions[request - 1].onError?.(new Error(frame.code));
    else if (type === "subscribed") {
      const subscription = this.#subscriptions[request - 1];
      this.#tails.set(tail, Object.assign(subscription, { cursor: frame.positions }));
      if (frame.gap) subscription.onGap?.(frame.gap);
    } else if (this.#tails.has(tail)) this.#delivered(this.#tails.get(tail), frame);
  }

  #signedIn(welcome) {
    this.#welcome = welcome;
    this.#failures = 0;
    for (const outbox of this.#outboxes) this.#pump(outbox);
  }

  // Subscriptions. `cursor` is a list of positions, one per log.

  #subscribe({ request, name, from, cursor }) {
    this.#send({ type: "subscribe", request, name, from: cursor ? { after: cursor } : from });
  }

  #delivered(
    { name, cursor, onMessage, onGap, onError },
    { type, epoch, upto, after = 0, ...frame },
  ) {
    const place = (wanted) => cursor.find((position) => position.epoch === wanted) ?? cursor[0];
    if (type === "progress") Object.assign(place(epoch), { offset: upto });
    if (type === "unsubscribed") onError?.(new Error(frame.code));
    if (type === "missing") {
      Object.assign(place(frame.gap.epoch), { epoch: frame.gap.epoch, offset: after });
      onGap?.(frame.gap);
    }
    if (type !== "block") return;
    const position = cursor[frame.log ?? 0];
    if (frame.prev > position.offset) return this.cut(); // a hole: come back and resume from the cursor
    for (const message of frame.messages.filter(({ offset }) => offset > position.offset)) {
      position.offset = message.offset;
      onMessage({ topic: name, epoch: position.epoch, ...message });
    }
  }

  // Publishing. `entries` are the messages without a final answer, by seq. `cursor` is the next seq to send on
  // this connection, `flying` how many are sent on it and not answered, `flight` how many may be: one after a refusal
  // for now, and more with each that is taken.

  #lowest = ({ entries, next }) => entries.keys().next().value ?? next;

  #open(outbox) {
    const lowest = this.#lowest(outbox);
    Object.assign(outbox, { open: false, paused: false, flying: 0, cursor: lowest });
    this.#send({ type: "open", handle: outbox.handle, topic: outbox.topic, lowest });
  }

  #opened(outbox, { window_new }) {
    for (const entry of outbox.entries.values()) entry.maybe_duplicate ||= window_new && entry.sent;
    outbox.open = true;
    this.#pump(outbox);
  }

  #pump(outbox) {
    const { handle, entries, next } = outbox;
    while (this.#welcome && outbox.open && !outbox.paused && outbox.cursor < next) {
      const lowest = this.#lowest(outbox);
      if (outbox.cursor - lowest >= this.#welcome.in_flight_max) return;
      if (outbox.flying >= outbox.flight) return;
      const seq = outbox.cursor++;
      const entry = entries.get(seq);
      if (!entry) continue; // answered on an earlier try
      const { data, maybe_duplicate } = entry;
      this.#send({ type: "publish", handle, seq, lowest, maybe_duplicate, data });
      entry.sent = true;
      outbox.flying++;
    }
  }

  #answered(outbox, frame) {
    const { type, seq = 0, count = 0, consumed, code, epoch, offset, duplicate = false } = frame;
    const again = type === "refused" && !consumed && code in RETRYABLE;
    const dead = type === "refused" && !consumed && !again;
    outbox.flying -= count;
    if (again) outbox.flight = 1;
    else if (type === "acked") outbox.flight += count / 2;
    for (const [at, { resolve, reject }] of [...outbox.entries]) {
      if (again || (!dead && (at < seq || at >= seq + count))) continue;
      outbox.entries.delete(at);
      if (type === "acked") resolve({ epoch, offset: offset + at - seq, duplicate });
      else reject(new Error(code));
    }
    if (again) outbox.paused ||= Math.max(frame.retry_after_ms ?? 100, 1);
    if (!outbox.paused || outbox.flying > 0) return this.#pump(outbox);
    const socket = this.#socket;
    setTimeout(() => {
      if (socket !== this.#socket || !this.#isUp) return; // a new link begins anew by itself
      if (outbox.open) this.#send({ type: "shut", handle: outbox.handle });
      this.#open(outbox);
    }, outbox.paused);
  }
}
