// The line that says how the page stands with the hub.

import type { Client } from "@tidewire/client";
import { byId, write } from "../elements";
import { duration } from "../host/units";
import type { DemoTopics } from "../topics";
import type { HubClock } from "./clock";
import type { LinkSwitch } from "./switch";
import type { Traffic } from "./traffic";

export function startStatus(
  tide: Client<DemoTopics>,
  link: LinkSwitch,
  clock: HubClock,
  traffic: Traffic,
): void {
  const show = () => {
    const { state, reason, detail } = tide.status;
    byId("status").dataset.state = link.isCut ? "cut" : state;
    write("state", link.isCut ? "cut by you" : (WORDS[state] ?? state));
    byId("state").title = detail ?? reason ?? "";
    const isLive = state === "online" && !link.isCut;
    const latencyMs = clock.latencyMs;
    write("latency", isLive && latencyMs !== undefined ? duration(latencyMs) : "–");
    write("rate", `${traffic.rate.toFixed(0)} per second`);
    const position = traffic.positions.get("demo.host");
    write(
      "position",
      position ? `${position.epoch.slice(0, 6)}…:${position.offset.toLocaleString("en")}` : "–",
    );
    byId("position").title = position ? `epoch ${position.epoch}, offset ${position.offset}` : "";
  };
  tide.on("status", show);
  setInterval(show, SHOW_MS);
  show();
}

const WORDS: Record<string, string> = { idle: "starting", offline: "looking for the hub" };
const SHOW_MS = 500;
