// What the package's types promise. Compiled against the built package, never run.

import { createClient, type Message, TidewireError } from "@tidewire/client";

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
