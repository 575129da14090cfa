// The client as the application holds it: a share in a driver, and the listeners that it opened.

import { dispose } from "./dispose.js";
import { Driver, type Loader } from "./driver.js";
import { TidewireError } from "./errors.js";
import { socketUrl } from "./link.js";
import type { Listener } from "./listener.js";
import { type Home, NamedPattern, NamedTopic } from "./topic.js";
import type { Client, ClientEvents, ClientOptions, Off, Outbox, Status } from "./types.js";

interface Share {
  readonly driver: Driver;
  readonly options: string;
  clients: number;
}

/** Drivers by address and identity: clients that are equal in both share one. */
const shares = new Map<string, Share>();

/** A client that connects with its first use. Does no I/O itself. */
export function openClient(load: Loader, address: string, options: ClientOptions): Client {
  const url = socketUrl(address);
  const key = JSON.stringify([url, options.identity]);
  const written = JSON.stringify(options);
  let share = shares.get(key);
  if (!share || share.driver.closed) {
    share = { driver: new Driver(load, url, options), options: written, clients: 0 };
    shares.set(key, share);
  }
  if (share.options !== written) throw new TidewireError("options_differ", url);
  share.clients++;
  return new Tide(share, () => shares.get(key) === share && shares.delete(key));
}

class Tide implements Client, Home {
  readonly driver: Driver;
  readonly outbox: Outbox;
  readonly #share: Share;
  readonly #last: () => void;
  readonly #stops = new Set<() => void>();
  readonly #offs = new Set<Off>();
  #closed = false;

  constructor(share: Share, last: () => void) {
    const { driver } = share;
    this.driver = driver;
    this.#share = share;
    this.#last = last;
    this.outbox = {
      get count() {
        return driver.entries.count;
      },
      get bytes() {
        return driver.entries.bytes;
      },
      cancel: (id) => driver.cancel(id),
    };
  }

  get status(): Status {
    return this.#closed ? { state: "closed", storage: "memory" } : this.driver.status;
  }

  topic<T>(name: string): NamedTopic<T> {
    return new NamedTopic(this, name);
  }

  pattern<T>(name: string): NamedPattern<T> {
    return new NamedPattern(this, name);
  }

  on<E extends keyof ClientEvents>(event: E, handler: (value: ClientEvents[E]) => void): Off {
    const off = this.driver.events.on(event, handler);
    this.#offs.add(off);
    return off;
  }

  listen(listener: Listener): () => void {
    if (this.#closed || this.driver.closed) throw new TidewireError("closed", listener.name);
    const stop = () => {
      this.#stops.delete(stop);
      this.driver.unsubscribe(listener);
    };
    this.#stops.add(stop);
    this.driver.subscribe(listener);
    return stop;
  }

  connect(): void {
    this.driver.start();
  }

  flush(): Promise<void> {
    return this.driver.entries.flushed();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of this.#stops) stop();
    if (--this.#share.clients === 0) {
      this.#last();
      this.driver.close();
    }
    for (const off of this.#offs) off();
  }

  [dispose](): void {
    this.close();
  }
}
