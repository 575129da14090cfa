// One WebSocket at a time. What a socket says after it was given up is not heard.

import { TidewireError } from "./errors.js";
import type { WebSocketConstructor } from "./types.js";

export interface LinkEvents {
  opened(): void;
  closed(code: number): void;
  received(frame: Uint8Array): void;
}

export class Link {
  readonly #url: string;
  readonly #WebSocket: WebSocketConstructor;
  readonly #events: LinkEvents;
  #socket: WebSocket | undefined;

  /** Opens nothing yet. Throws if there is no WebSocket to open. */
  constructor(url: string, given: WebSocketConstructor | undefined, events: LinkEvents) {
    const socket = given ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
    if (!socket) throw new TidewireError("no_websocket", url);
    this.#url = url;
    this.#WebSocket = socket;
    this.#events = events;
  }

  open(): void {
    const socket = new this.#WebSocket(this.#url, ["tidewire.v1"]) as WebSocket;
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    const on = <E>(type: string, tell: (event: E) => void) =>
      socket.addEventListener(type, (event) => {
        if (this.#socket === socket) tell(event as E);
      });
    on("open", () => this.#events.opened());
    on<MessageEvent>("message", ({ data }) => {
      // The hub sends no text; what is none of its messages is for the engine to refuse.
      this.#events.received(new Uint8Array(data instanceof ArrayBuffer ? data : []));
    });
    on<CloseEvent>("close", ({ code }) => {
      this.#socket = undefined;
      this.#events.closed(code);
    });
    // The close that follows tells; without a listener `ws` would throw.
    on("error", () => {});
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#socket?.send(bytes);
  }

  close(code: number): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close(code);
  }
}

/** The address of a hub's WebSocket: the path may be left out, and http stands for ws. */
export function socketUrl(address: string): string {
  const url = new URL(address, globalThis.location?.href);
  url.protocol = url.protocol.replace("http", "ws");
  if (url.pathname === "/") url.pathname = "/v1/ws";
  return url.href;
}
