// What a browser tells of its network and its pages. Elsewhere these events never come.

export interface PageEvents {
  /** The network is back, or the page is seen again. */
  shown(): void;
  /** The page goes into the back-forward cache, or for good: its socket would be dead when it came back. */
  hidden(): void;
}

/** Tells of pages and network until the signal is aborted. */
export function watchPage(signal: AbortSignal, events: PageEvents): void {
  const on = (type: string, tell: () => void, target: EventTarget | undefined = globalThis) =>
    target?.addEventListener?.(type, tell, { signal });
  on("online", events.shown);
  on("pageshow", events.shown);
  on("pagehide", events.hidden);
  const { document } = globalThis;
  on("visibilitychange", () => document.visibilityState === "visible" && events.shown(), document);
}
