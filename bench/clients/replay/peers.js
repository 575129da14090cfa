// The servers' side of a replay: signs clients in as the recorded server did, and acknowledges what they publish.
// What is published in one turn is acknowledged in one frame, where the protocol has such frames.

import { Centrifuge } from "./peers/centrifuge.js";
import { Mqtt } from "./peers/mqtt.js";
import { Silent } from "./peers/silent.js";
import { SocketIo } from "./peers/socket-io.js";
import { Tidewire } from "./peers/tidewire.js";

export const peers = {
  tidewire: Tidewire,
  centrifuge: Centrifuge,
  "centrifuge-protobuf": Centrifuge,
  "socket.io": SocketIo,
  mqtt: Mqtt,
  bare: Silent,
};
