// The way to the hub, as a host drives it, and the one by WebSocket: one socket at a time, and what a socket says
// after it was given up is not heard.

import { type ErrorCode, TidewireError } from "./errors.js";
import type { SocketLike, WebSocketConstructor } from "./types.js";
import { bytesOf } from "./values.js";

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
  closed(code: number, end: LinkEnd): void;
  received(frame: Uint8Array): void;
}

/** What is known of a connection's end besides its close code. */
export interface LinkEnd {
  /** Given where it never was one. */
  readonly reason?: ErrorCode | undefined;
  readonly detail?: string | undefined;
}

export class SocketLink implements Link {
  readonly #url: string;
  readonly #WebSocket: WebSocketConstructor;
  readonly #events: LinkEvents;
  /** Counts connections: what is older than the newest is not heard. */
  #newest = 0;
  #socket: SocketLike | undefined;
  /** Hears of the page's policy while a connection is being made. */
  #policy: AbortController | undefined;

  /** Opens nothing yet. Throws if there is no WebSocket to open. */
  constructor(url: string, given: WebSocketConstructor | undefined, events: LinkEvents) {
    const socket = given ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
    if (!socket) throw new TidewireError("no_websocket", "connect");
    this.#url = url;
    this.#WebSocket = socket;
    this.#events = events;
  }

  open(): void {
    const number = ++this.#newest;
    let directive: string | undefined;
    this.#policy = new AbortController();
    // Browsers do not tell the socket, and some give the scheme alone; what is only reported is not forbidden.
    globalThis.addEventListener?.(
      "securitypolicyviolation",
      ({ blockedURI, disposition, effectiveDirective }) => {
        if (disposition !== "report" && blockedURI && this.#url.startsWith(blockedURI)) {
          directive = effectiveDirective;
        }
      },
      this.#policy,
    );
    const closed = (code: number, end: LinkEnd) => {
      if (number !== this.#newest) return;
      this.#leave();
      const detail = `Content-Security-Policy: ${directive}`;
      this.#events.closed(code, directive ? { reason: "link_blocked", detail } : end);
    };
    try {
      const socket = new this.#WebSocket(this.#url, [subprotocol]);
      socket.binaryType = "arraybuffer";
      this.#socket = socket;
      this.#hear(socket, closed);
    } catch (cause) {
      // What a page's policy forbids now it may allow later. The host waits for an answer.
      queueMicrotask(() => closed(1006, { reason: "link_blocked", detail: String(cause) }));
    }
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#socket?.send(bytes);
  }

  close(code: number): void {
    const socket = this.#socket as (SocketLike & { terminate?(): void }) | undefined;
    this.#leave();
    socket?.close(code);
    // `ws` would wait half a minute for a peer that may be gone, and Node with it.
    if (socket?.terminate) unheld(setTimeout(() => socket.terminate?.(), 500));
  }

  #leave(): void {
    this.#newest++;
    this.#socket = undefined;
    this.#policy?.abort();
  }

  #hear(socket: SocketLike, closed: (code: number, end: LinkEnd) => void): void {
    let reason: ErrorCode | undefined = "not_reached";
    let detail: string | undefined;
    const end = (code: number, said?: string) =>
      closed(code, { reason, detail: said || (reason && detail) });
    let asked: Promise<string | undefined> | undefined;
    /** Nothing was opened. A program can ask why; a page may not read it, and its console would tell of that, too. */
    const fail = async () => {
      if (!globalThis.location) asked ??= refusalAt(this.#url);
      detail = (await asked) || detail;
      end(1006);
    };
    const on: SocketLike["addEventListener"] = (type, tell) =>
      socket.addEventListener(type, (event) => {
        if (this.#socket === socket) tell(event);
      });
    on("open", () => {
      const { protocol = subprotocol } = socket;
      if (protocol !== subprotocol) {
        socket.close();
        closed(1002, { reason: "wrong_protocol", detail: `"${protocol}", not "${subprotocol}"` });
        return;
      }
      reason = undefined;
      this.#policy?.abort();
      this.#events.opened();
    });
    on("message", ({ data }: MessageEvent) => {
      // The hub sends no text; what is none of its messages is for the engine to refuse.
      this.#events.received(bytesOf(data) ?? new Uint8Array(0));
    });
    on("close", ({ code, reason: said }: CloseEvent) => (reason ? fail() : end(code, said)));
    // The close that follows tells; without a listener `ws` would throw. Browsers say nothing here.
    on("error", ({ message }: ErrorEvent) => {
      detail = message;
      // None follows in Chromium where a policy forbids the address, and in Node 22 where nothing was opened.
      if (reason) setTimeout(fail);
    });
  }
}

/** Why whoever answers there takes no WebSocket, in its own words; nothing if it says none, or would take one. */
async function refusalAt(url: string): Promise<string | undefined> {
  try {
    const signal = AbortSignal.timeout(1_000);
    const answer = await fetch(url.replace("ws", "http"), { signal });
    const text = await answer.text();
    return answer.status === 426
      ? undefined
      : `HTTP ${answer.status}: ${text.slice(0, 200).trim()}`;
  } catch {
    return undefined;
  }
}

/** The address of a hub's WebSocket: the scheme and the path may be left out, and http stands for ws. */
export function socketUrl(given: string | URL): string {
  const page = globalThis.location?.href;
  const address = String(given);
  // What is not there (a variable that was not set) is no host called "undefined", and no address of this page.
  const isGiven = given && (given instanceof URL || typeof given === "string");
  let cause: unknown;
  try {
    // "localhost:7700" is no address of the scheme "localhost".
    const isBare =
      /^(\[[\da-f:.]+\]|[\w.-]+)(:\d+)?(\/|$)/i.test(address) && !/^\w+:\/\//.test(address);
    const scheme = page?.startsWith("http:") || isLocal(address) ? "ws" : "wss";
    const url = new URL(isBare ? `${scheme}://${address}` : address, page);
    url.protocol = url.protocol.replace("http", "ws");
    url.hash = "";
    if (!url.pathname.endsWith("/v1/ws")) url.pathname = url.pathname.replace(/\/*$/, "/v1/ws");
    if (isGiven && /^wss?:$/.test(url.protocol)) return url.href;
  } catch (thrown) {
    cause = thrown;
  }
  throw new TidewireError("bad_address", `"${shownUrl(address)}"`, false, cause);
}

/** An address without what may be secret in it. */
export const shownUrl = (url: string): string => url.replace(/\?.*/, "").replace(/\/\/.*@/, "//");

/** Whether a bare address is this machine's, where nobody has certificates. */
function isLocal(address: string): boolean {
  return /^(localhost|127\.|\[::1\])/.test(address);
}

/** A timer that keeps no process alive. */
export function unheld<T>(timer: T): T {
  (timer as { unref?(): void }).unref?.();
  return timer;
}

const subprotocol = "tidewire.v1";
