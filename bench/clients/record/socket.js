// The real WebSocket of `ws`, which writes down what it hears.

import { WebSocket } from "ws";

export class RecordingSocket extends WebSocket {
  /** Where sockets that open now write: text as strings, bytes as `{ base64 }`. Nowhere if undefined. */
  static frames;

  constructor(...args) {
    super(...args);
    const { frames } = RecordingSocket;
    if (!frames) return;
    this.on("message", (data, isBinary) => {
      frames.push(isBinary ? { base64: Buffer.from(data).toString("base64") } : data.toString());
    });
  }
}
