// The client as the application holds it: a share in a session, and the listeners that it opened.

import { dispose } from "./dispose.js";
import type { Loader } from "./engine/engine.js";
import { TidewireError } from "./errors.js";
import { SocketLink, socketUrl } from "./link.js";
import type { Listener } from "./listener.js";
import { Session } from "./session.js";
import { type Home, NamedPattern, NamedTopic } from "./topic.js";
import type { Client, ClientEvents, ClientOptions, Off, Outbox, Status } from "./types.js";

interface Share {
  readonly session: Session;
  readonly options: string;
  clients: number;
}

/** Sessions by address and identity: clients that are equal in both share one. */
const shares = new Map<string, Share>();

/** A client that connects with its first use. Does no I/O itself. */
export function openClient(load: Loader, address: string, options: ClientOptions): Client {
  const url = socketUrl(address);
  const key = JSON.stringify([url, options.identity]);
  const written = JSON.stringify(options);
  let share = shares.get(key);
  if (!share || share.session.closed) {
    const session = new Session(
      load,
      url,
      (events) => new SocketLink(url, options.WebSocket, events),
      options,
    );
    share = { session, options: written, clients: 0 };
    shares.set(key, share);
  }
  if (share.options !== written) throw new TidewireError("options_differ", url);
  share.clients++;
  return new Tide(share, () => shares.get(key) === share && shares.delete(key));
}

class Tide implements Client, Home {
  readonly session: Session;
  readonly outbox: Outbox;
  readonly #share: Share;
  readonly #last: () => void;
  readonly #stops = new Set<() => void>();
  readonly #offs = new Set<Off>();
  #closed = false;

  constructor(share: Share, last: () => void) {
    const { session } = share;
    this.session = session;
    this.#share = share;
    this.#last = last;
    this.outbox = {
      get count() {
        return session.entries.count;
      },
      get bytes() {
        return session.entries.bytes;
      },
      cancel: (id) => session.cancel(id),
    };
  }

  get status(): Status {
    return this.#closed ? { state: "closed", storage: "memory" } : this.session.status;
  }

  topic<T>(name: string): NamedTopic<T> {
    return new NamedTopic(this, name);
  }

  pattern<T>(name: string): NamedPattern<T> {
    return new NamedPattern(this, name);
  }

  on<E extends keyof ClientEvents>(event: E, handler: (value: ClientEvents[E]) => void): Off {
    const off = this.session.events.on(event, handler);
    this.#offs.add(off);
    return off;
  }

  listen(listener: Listener): () => void {
    if (this.#closed || this.session.closed) throw new TidewireError("closed", listener.name);
    const stop = () => {
      this.#stops.delete(stop);
      this.session.unsubscribe(listener);
    };
    this.#stops.add(stop);
    this.session.subscribe(listener);
    return stop;
  }

  connect(): void {
    this.session.start();
  }

  flush(): Promise<void> {
    return this.session.entries.flushed();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of this.#stops) stop();
    if (--this.#share.clients === 0) {
      this.#last();
      this.session.close();
    }
    for (const off of this.#offs) off();
  }

  [dispose](): void {
    this.close();
  }
}
