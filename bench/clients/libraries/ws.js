// What the libraries get when they ask for `ws` in Node: the socket that the bench has put in its place.

import createWebSocketStream from "ws/lib/stream.js";

const { WebSocket } = globalThis;

export default Object.assign(WebSocket, { createWebSocketStream });
export { createWebSocketStream, WebSocket };
