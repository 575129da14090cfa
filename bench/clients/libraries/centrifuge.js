// `centrifuge`, JSON protocol.

import { Centrifuge } from "centrifuge";
import { using } from "./centrifuge-with.js";

export const { subscribe, publisher } = using(Centrifuge);
