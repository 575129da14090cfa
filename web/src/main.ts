// The demo: one client, and the parts of the page that share it.

import { createClient } from "@tidewire/client";
import { Board } from "./board/board";
import { Cursors } from "./board/cursors";
import { byId } from "./elements";
import { startHost } from "./host/host";
import { HubClock } from "./link/clock";
import { Outages } from "./link/outages";
import { LinkPanel } from "./link/panel";
import { startStatus } from "./link/status";
import { LinkSwitch } from "./link/switch";
import { Traffic } from "./link/traffic";
import { startTheme } from "./theme";
import type { DemoTopics } from "./topics";
import { visitor } from "./visitor";
import "uplot/dist/uPlot.min.css";
import "./style/page.css";
import "./style/host.css";
import "./style/board.css";
import "./style/link.css";

startTheme(byId("theme"));

const link = new LinkSwitch();
const tide = createClient<DemoTopics>(location.origin, { WebSocket: link.WebSocket });
const me = visitor();
const clock = new HubClock();
const outages = new Outages();
const traffic = new Traffic(outages);

startStatus(tide, link, clock, traffic);
new LinkPanel(tide, link, clock, outages);
startHost(tide, clock, traffic, outages);

const cursors = new Cursors(tide, me, traffic);
const board = new Board(tide, me, traffic, outages, {
  dragged: (id, place) => cursors.hold({ id, ...place }),
  dropped: () => cursors.hold(undefined),
});
cursors.onHeld = (id, place) => board.hold(id, place);
clock.start(tide, me.id);
