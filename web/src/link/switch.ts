// A link that can be cut. The client gets this class for its WebSocket, and sees what a dead network would show it:
// a socket that closes without a word, and new ones that fail. It is told nothing else.

import type { WebSocketConstructor } from "@tidewire/client";

export class LinkSwitch {
  readonly #sockets = new Set<CuttableSocket>();
  #isCut = false;

  get isCut(): boolean {
    return this.#isCut;
  }

  /** Closes the page's socket; no other opens until `restore`. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.fail();
  }

  restore(): void {
    this.#isCut = false;
    // What a browser says when its network is back.
    window.dispatchEvent(new Event("online"));
  }

  /** The class whose sockets this switch cuts. */
  get WebSocket(): WebSocketConstructor {
    const sockets = this.#sockets;
    const isCut = () => this.#isCut;
    return class extends CuttableSocket {
      constructor(url: string, protocols: string[]) {
        super(isCut() ? undefined : new WebSocket(url, protocols));
        sockets.add(this);
        this.addEventListener("close", () => sockets.delete(this));
      }
    };
  }
}

class CuttableSocket extends EventTarget {
  #socket: WebSocket | undefined;

  /** Without a socket, connecting fails. */
  constructor(socket: WebSocket | undefined) {
    super();
    this.#socket = socket;
    if (!socket) {
      setTimeout(() => this.fail());
      return;
    }
    socket.addEventListener("open", () => this.#pass(socket, new Event("open")));
    socket.addEventListener("message", ({ data }) =>
      this.#pass(socket, new MessageEvent("message", { data })),
    );
    socket.addEventListener("error", () => this.#pass(socket, new Event("error")));
    socket.addEventListener("close", ({ code, reason, wasClean }) =>
      this.#pass(socket, new CloseEvent("close", { code, reason, wasClean })),
    );
  }

  get binaryType(): string {
    return this.#socket?.binaryType ?? "arraybuffer";
  }

  set binaryType(type: string) {
    if (this.#socket) this.#socket.binaryType = type as BinaryType;
  }

  send(data: Uint8Array<ArrayBuffer>): void {
    this.#socket?.send(data);
  }

  close(code?: number): void {
    this.#socket?.close(code);
  }

  /** The network is gone: closes the real socket, and hears nothing more of it. */
  fail(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    this.dispatchEvent(new Event("error"));
    this.dispatchEvent(new CloseEvent("close", { code: ABNORMAL, wasClean: false }));
  }

  #pass(socket: WebSocket, event: Event): void {
    if (this.#socket === socket) this.dispatchEvent(event);
  }
}

/** What a browser says of a connection that ended without a closing handshake. */
const ABNORMAL = 1006;
