// `centrifuge`, Protobuf protocol, which can carry bytes.

import { Centrifuge } from "centrifuge/build/protobuf";
import { using } from "./centrifuge-with.js";

export const { subscribe, publisher } = using(Centrifuge);
