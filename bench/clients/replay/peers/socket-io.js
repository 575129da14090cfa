// Socket.IO over Engine.IO 4: a packet a frame; 42 and a number is an event that wants an answer, 43 the answer.

import { nextTask } from "../task.js";

export class SocketIo {
  #handshake;
  #answers = [];

  /** `handshake` is what the server said when the link was open, and to 40. */
  constructor(handshake) {
    this.#handshake = handshake;
  }

  opened(socket) {
    socket.deliver([this.#handshake[0]]);
  }

  heard(socket, data) {
    if (data === "40") socket.deliver([this.#handshake[1]]);
    const [, id] = /^42(\d+)\[/.exec(data.slice(0, 16)) ?? [];
    if (!id || this.#answers.push(`43${id}[]`) > 1) return;
    nextTask(() => socket.deliver(this.#answers.splice(0)));
  }
}
