// The switch, and the account of what it did: what waits here, what came back, what is gone.

import type { Client } from "@tidewire/client";
import { byId, make, write } from "../elements";
import { count, duration } from "../host/units";
import type { DemoTopics } from "../topics";
import type { HubClock } from "./clock";
import type { Outage, Outages } from "./outages";
import type { LinkSwitch } from "./switch";

export class LinkPanel {
  readonly #tide: Client<DemoTopics>;
  readonly #link: LinkSwitch;
  readonly #clock: HubClock;
  readonly #outages: Outages;
  readonly #switch = byId("link-switch");
  #wasOnline = false;

  constructor(tide: Client<DemoTopics>, link: LinkSwitch, clock: HubClock, outages: Outages) {
    this.#tide = tide;
    this.#link = link;
    this.#clock = clock;
    this.#outages = outages;
    this.#switch.addEventListener("click", () => this.#turn());
    tide.on("status", () => this.#heed());
    setInterval(() => this.#show(), SHOW_MS);
    this.#heed();
  }

  #turn(): void {
    const { isCut } = this.#link;
    this.#switch.setAttribute("aria-checked", String(isCut));
    if (isCut) this.#link.restore();
    else this.#link.cut();
    this.#tell(
      isCut
        ? "You restored the link."
        : "You cut the link. The charts stand still; edits wait here.",
    );
    this.#heed();
  }

  /** Notices when the link goes and comes. */
  #heed(): void {
    const isOnline = this.#tide.status.state === "online";
    if (this.#wasOnline && !isOnline) {
      this.#outages.begin(this.#clock.now(), this.#link.isCut);
      if (!this.#link.isCut) this.#tell("The hub is out of reach. The page goes on trying.");
    }
    if (!this.#wasOnline && isOnline) {
      this.#outages.waiting(this.#tide.outbox.count);
      this.#outages.end(this.#clock.now());
      const { last } = this.#outages;
      if (last) setTimeout(() => this.#tell(account(last, this.#tide.outbox.count)), SETTLE_MS);
    }
    this.#wasOnline = isOnline;
    this.#show();
  }

  #show(): void {
    const waiting = this.#tide.outbox.count;
    this.#outages.waiting(waiting);
    const { last } = this.#outages;
    const isAway = last !== undefined && last.to === undefined;
    const panel = this.#switch.closest("section");
    if (panel) panel.dataset.state = this.#link.isCut ? "cut" : isAway ? "away" : "whole";
    this.#showWaiting(isAway ? waiting : 0);
    if (!last) return;
    write("buffered", isAway ? String(waiting) : `0, ${last.buffered} delivered`);
    write("away", duration((last.to ?? this.#clock.now()) - last.from));
    write("resumed", isAway ? "–" : resumedWords(last));
    write("gap", isAway ? "–" : gapWords(last));
  }

  /** A square for each message that waits. */
  #showWaiting(waiting: number): void {
    const squares = byId("waiting");
    const wanted = Math.min(waiting, SQUARES_MAX);
    while (squares.childElementCount > wanted) squares.lastElementChild?.remove();
    while (squares.childElementCount < wanted) squares.append(make("i"));
  }

  #tell(text: string): void {
    const feed = byId("feed");
    const item = make("li", "", text);
    item.prepend(make("time", "", new Date().toLocaleTimeString("en-GB")));
    feed.prepend(item);
    while (feed.childElementCount > FEED_MAX) feed.lastElementChild?.remove();
  }
}

function account(outage: Outage, stillWaiting: number): string {
  const delivered = outage.buffered - Math.min(stillWaiting, outage.buffered);
  return [
    `Back after ${duration((outage.to ?? outage.from) - outage.from)}.`,
    `Resumed: ${resumedWords(outage)}.`,
    `Gap: ${gapWords(outage)}.`,
    `Delivered: ${count(delivered, "edit")} of yours.`,
  ].join(" ");
}

/** What others published meanwhile; where their pointers were does not count. */
function resumedWords({ resumed }: Outage): string {
  const samples = count(resumed.get("demo.host") ?? 0, "sample");
  return `${samples}, ${count(resumed.get("demo.board") ?? 0, "change")}`;
}

/** Holes: told by the client, or found by the publisher's own numbers, which would be its fault. */
function gapWords({ gaps, missing }: Outage): string {
  if (missing > 0) return `${count(missing, "sample")} missing and not told`;
  const reasons = new Set(gaps.map(({ reason }) => reason.replaceAll("_", " ")));
  return reasons.size === 0 ? "none, checked by number" : `told: ${[...reasons].join(", ")}`;
}

const SHOW_MS = 200;
/** Time for what waited on both sides to cross over before it is counted up. */
const SETTLE_MS = 1_500;
const SQUARES_MAX = 24;
const FEED_MAX = 6;
