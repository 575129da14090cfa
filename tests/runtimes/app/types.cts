import { type Client, createClient, type Message, TidewireError } from "@tidewire/client";
import { createClient as createWithoutWasm } from "@tidewire/client/js";
import { initWasm } from "@tidewire/client/slim";

const tide: Client = createClient<{ "orders.*": { id: number } }>("ws://127.0.0.1:7700");
tide.topic<number>("t").subscribe((message: Message<number>) => message.data.toFixed());
tide.on("error", (error) => error instanceof TidewireError && error.code === "forbidden");
export const loaded: Promise<void> = initWasm(new Uint8Array(0));
export const same: typeof createClient = createWithoutWasm;
