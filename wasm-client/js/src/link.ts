// The way to the hub, as a host drives it, and the one by WebSocket: one socket at a time, and what a socket says
// after it was given up is not heard.

import { TidewireError } from "./errors.js";
import type { WebSocketConstructor } from "./types.js";

/** One connection after another, by whatever carries messages. */
export interface Link {
  /** Answers with `opened` or `closed`, later. */
  open(): void;
  send(bytes: Uint8Array<ArrayBuffer>): void;
  /** Gives the connection up; nothing more is told of it. */
  close(code: number): void;
}

export interface LinkEvents {
  opened(): void;
  /** It ended, or could not be had, and that was not our doing. */
  closed(code: number): void;
  received(frame: Uint8Array): void;
}

export class SocketLink implements Link {
  readonly #url: string;
  readonly #WebSocket: WebSocketConstructor;
  readonly #events: LinkEvents;
  /** Counts connections: what is older than the newest is not heard. */
  #newest = 0;
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
    const number = ++this.#newest;
    const closed = (code: number) => {
      if (number !== this.#newest) return;
      this.#socket = undefined;
      this.#events.closed(code);
    };
    try {
      const socket = new this.#WebSocket(this.#url, ["tidewire.v1"]) as WebSocket;
      socket.binaryType = "arraybuffer";
      this.#socket = socket;
      this.#hear(socket, closed);
    } catch {
      // What a page's policy forbids now it may allow later; the host waits for an answer.
      queueMicrotask(() => closed(1006));
    }
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#socket?.send(bytes);
  }

  close(code: number): void {
    const socket = this.#socket;
    this.#newest++;
    this.#socket = undefined;
    socket?.close(code);
  }

  #hear(socket: WebSocket, closed: (code: number) => void): void {
    const on = <E>(type: string, tell: (event: E) => void) =>
      socket.addEventListener(type, (event) => {
        if (this.#socket === socket) tell(event as E);
      });
    on("open", () => this.#events.opened());
    on<MessageEvent>("message", ({ data }) => {
      // The hub sends no text; what is none of its messages is for the engine to refuse.
      this.#events.received(new Uint8Array(data instanceof ArrayBuffer ? data : []));
    });
    on<CloseEvent>("close", ({ code }) => closed(code));
    // The close that follows tells; without a listener `ws` would throw.
    on("error", () => {});
  }
}

/** The address of a hub's WebSocket: the path may be left out, and http stands for ws. */
export function socketUrl(address: string): string {
  const url = new URL(address, globalThis.location?.href);
  url.protocol = url.protocol.replace("http", "ws");
  if (url.pathname === "/") url.pathname = "/v1/ws";
  return url.href;
}
