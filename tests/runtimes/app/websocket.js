// Options for a runtime that may have no `WebSocket`, as Node 20.

export const options = globalThis.WebSocket ? {} : { WebSocket: (await import("ws")).WebSocket };
