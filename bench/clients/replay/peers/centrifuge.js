// Centrifuge: commands and replies with numbers, one a line.

import { nextTask } from "../task.js";

export class Centrifuge {
  #handshake;
  #replies = [];

  /** `handshake` is what the server said to `connect` and to `subscribe`. */
  constructor(handshake) {
    // Both may have come in one frame.
    this.#handshake = handshake.flatMap((frame) =>
      typeof frame === "string" ? frame.split("\n") : [frame],
    );
  }

  opened() {}

  heard(socket, data) {
    // Protobuf is used for receiving only: there, commands are counted and not read.
    if (typeof data !== "string") {
      if (this.#handshake.length) socket.deliver([this.#handshake.shift()]);
      return;
    }
    for (const line of data.split("\n")) {
      if (line.startsWith('{"publish"')) this.#acknowledge(socket, line);
      else if (line.startsWith('{"connect"')) socket.deliver([this.#handshake[0]]);
      else if (line.startsWith('{"subscribe"')) socket.deliver([this.#handshake[1]]);
    }
  }

  #acknowledge(socket, line) {
    const id = line.slice(line.lastIndexOf('"id":') + 5, -1);
    if (this.#replies.push(`{"id":${id},"publish":{}}`) > 1) return;
    nextTask(() => socket.deliver([this.#replies.splice(0).join("\n")]));
  }
}
