// What a browser tells of its network and its pages. Elsewhere these events never come.

export interface PageEvents {
  /** The network is back, perhaps another one: what is up, or being set up, may be dead. */
  online(): void;
  /** The page is seen again: whatever waits need not wait, and what is up may be dead. */
  shown(): void;
  /** The browser believes that there is no network, which it may be wrong about. */
  offline(): void;
  /** The page goes into the back-forward cache: its socket would be dead when it came back. */
  hidden(): void;
}

/** Tells of pages and network until the signal is aborted. */
export function watchPage(signal: AbortSignal, events: PageEvents): void {
  const { document } = globalThis;
  const isSeen = () => document?.visibilityState === "visible";
  let isLeaving = false;
  const on = (
    type: string,
    tell: (event: Event) => unknown,
    target: EventTarget | undefined = globalThis,
    capture = false,
  ) => target?.addEventListener?.(type, tell, { signal, capture });
  on("online", events.online);
  on("offline", events.offline);
  on("pageshow", () => {
    isLeaving = false;
    events.shown();
  });
  on("pagehide", (event) => {
    // A page that ends needs nothing. One that was seen is told after this that it is hidden.
    if (!(event as PageTransitionEvent).persisted) return;
    isLeaving = isSeen();
    if (!isLeaving) events.hidden();
  });
  if (!document) return;
  on("visibilitychange", () => isSeen() && events.shown(), document);
  // Behind all others each time, so that what they publish still goes.
  const hide = () => isLeaving && !isSeen() && events.hidden();
  const last = () => {
    document.removeEventListener("visibilitychange", hide);
    on("visibilitychange", hide, document);
  };
  on("visibilitychange", last, document, true);
  last();
}
