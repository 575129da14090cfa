// What the package's types promise. Compiled against the built package, never run.

import {
  type Client,
  ConditionFailed,
  type Contract,
  createClient,
  type DataOf,
  type Message,
  type Off,
  type Status,
  TidewireError,
  TokenRefused,
  type Topic,
} from "@tidewire/client";

type Order = { id: number; state: "new" | "paid" };

const typed = createClient<{ "orders.*": Order; motto: string }>("http://127.0.0.1:7700");
await typed.topic("orders.eu").publish({ id: 1, state: "new" });
// @ts-expect-error the contract says what an order is
await typed.topic("orders.eu").publish({ id: "1", state: "new" });
typed.topic("motto").subscribe((message) => message.data.toUpperCase());
// @ts-expect-error a motto is a string
typed.topic("motto").subscribe((message) => message.data.id);

const free = createClient("http://127.0.0.1:7700", {
  outbox: { maxCount: 10, whenFull: "drop_oldest" },
});
const subscription = free
  .topic<Order>("orders.eu")
  .subscribe((message: Message<Order>) => message.data.state, {
    from: { last: 50 },
    whenSlow: "gap",
  });
const { outcome } = await subscription.ready;
export const live: boolean = outcome === "live";
subscription.on("gap", (gap) => gap.to - gap.from);
// @ts-expect-error a pattern cannot be published to
free.pattern<Order>("orders.*").publish({ id: 1, state: "new" });

for await (const item of free.pattern<Order>("orders.*").messages({ from: "earliest" })) {
  if (item.type === "gap") continue;
  const id: number = item.data.id;
  if (id > 0) break;
}

try {
  await free.flush();
} catch (error) {
  if (error instanceof TidewireError && error.code === "outbox_full") free.close();
}

const signedIn = createClient("http://127.0.0.1:7700", {
  token: async ({ reason, signal }) => {
    const response = await fetch(`/token?${reason}`, { signal });
    if (response.status === 401) throw new TokenRefused("log in", { cause: response });
    return response.text();
  },
});
signedIn.on("error", (error) => error instanceof TokenRefused && location.assign("/login"));

const published = await free.publishBatch([
  { topic: "a", data: 1 },
  { topic: "b", data: "two" },
]);
export const places: number[] = published.map(({ offset }) => offset);
const [first, second] = published;
export const both: number = first.offset + second.offset;
declare const many: { topic: string; data: unknown }[];
export const all: number[] = (await free.publishBatch(many)).map(({ offset }) => offset);
await free.topic("a").history({ before: "latest", limit: 50 });

// Names and contracts.

interface Topics {
  "orders.*": Order;
  "orders.*.items": { sku: string };
  motto: string;
}
declare const anyName: string;
declare const region: "eu" | "us";
const contracted = createClient<Topics>("http://127.0.0.1:7700");
contracted.topic("orders.eu").subscribe((message): Order => message.data);
contracted.publishBatch([
  { topic: "orders.eu", data: { id: 1, state: "new" } },
  { topic: "orders.eu.items", data: { sku: "4711" } },
]);
contracted.publishBatch([
  { topic: "motto", data: "more" },
  // @ts-expect-error a motto is a string
  { topic: "motto", data: 1 },
]);
// @ts-expect-error nothing of the contract matches
contracted.publishBatch([{ topic: "ordesr.eu", data: 1 }]);
contracted.topic(`orders.${region}`).subscribe((message): Order => message.data);
contracted.topic("orders.eu.items").subscribe((message): { sku: string } => message.data);
contracted.pattern("orders.*").subscribe((message): Order => message.data);
contracted.pattern("orders.>").subscribe((message): Order | { sku: string } => message.data);
contracted.pattern(">").subscribe((message): Order | { sku: string } | string => message.data);
contracted.pattern("*").subscribe((message): string => message.data);
contracted.topic(anyName).subscribe((message): unknown => message.data);
contracted.topic<Order>(anyName).subscribe((message): Order => message.data);
// @ts-expect-error it need not be the motto
contracted.topic(anyName).subscribe((message): string => message.data);
// @ts-expect-error it may be the items of one
contracted.pattern("orders.>").subscribe((message): Order => message.data);
// @ts-expect-error nothing of the contract matches
contracted.topic("ordesr.eu").publish({ id: 1, state: "new" });
// @ts-expect-error nothing of the contract matches
contracted.topic("ordesr.eu").subscribe((message): Order => message.data);
// @ts-expect-error nor is it anything else
contracted.topic("ordesr.eu").subscribe((message): string => message.data);

/** Takes any client. */
export function statusOf(client: Client): Status["state"] {
  return client.status.state;
}
statusOf(contracted);
statusOf(free);

/** What a hook of a framework does. */
export function useTopic<C extends Contract, N extends string>(
  from: Client<C>,
  name: N,
): Topic<DataOf<C, N>> {
  return from.topic(name);
}
useTopic(contracted, "motto").subscribe((message): string => message.data);

// Sockets.

createClient("http://127.0.0.1:7700", { WebSocket });
class Fake {
  binaryType = "";
  send(_data: Uint8Array) {}
  close() {}
}
// @ts-expect-error it has no addEventListener
createClient("http://127.0.0.1:7700", { WebSocket: Fake });

// What bindings use.

const stop: Off = free.on("outbox", ({ count }) => count);
stop();
export const shown: string = subscription.state + subscription.lag;
export const roundTrip: Promise<number> = free.ping();
// @ts-expect-error there is no such event
free.on("open", () => {});

// Updates, pages and signs.

const sent: boolean = typed.topic("motto").send("onward", { expiresMs: 500 });
// @ts-expect-error a motto is a string
typed.topic("motto").send(5);
// @ts-expect-error a pattern cannot be sent to
free.pattern("orders.*").send(1);
const { messages, next, more, previous } = await typed.topic("orders.eu").history({ limit: 20 });
const older = await typed
  .topic("orders.eu")
  .history({ before: messages[0] ?? previous, limit: 20 });
const oldest = await typed.pattern("orders.*").history({ before: older.previous });
export const seen: number = oldest.messages.length;
export const states: Order["state"][] = messages.map(({ data }) => data.state);
export const counts: number = free.sendsDropped + Number(sent) + Number(more);
typed.topic("orders.eu").subscribe(() => {}, { from: next });
export const caughtUp: Promise<void> = subscription.caughtUp;

// What a message has besides, and on which terms it is published.

const board = free.topic<Order>("boards.1");
const paid: Order = { id: 1, state: "paid" };
const at = await board.publish(paid, {
  key: "a",
  headers: { by: "ada" },
  ttl: 5_000,
  ifAbsent: true,
});
await board.publish(paid, { key: "a", ifVersion: at, durability: "memory" });
await board.remove("a", { ifVersion: at });
// @ts-expect-error what is removed has no value to be absent
board.remove("a", { ifAbsent: true });
// @ts-expect-error headers are strings
board.publish(paid, { headers: { n: 1 } });
// @ts-expect-error nobody answers
board.send(paid, { ifAbsent: true });
board.subscribe((message) => {
  const { key = "", headers, ttl = 0, removed } = message;
  board.publish(message.data, {
    key,
    headers,
    ttl,
    ifVersion: removed ? message.version : message,
  });
});
await free.publishBatch([{ topic: "boards.1", data: 1, key: "a", ifVersion: at }]);
export const isStale = (error: unknown): number | undefined =>
  error instanceof ConditionFailed ? error.current?.offset : undefined;
createClient(new URL("http://127.0.0.1:7700"));
