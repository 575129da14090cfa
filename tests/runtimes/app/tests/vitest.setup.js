// The `WebSocket` of this jsdom makes Node's events, which are not those that Vitest lets tests see.

import { WebSocket } from "ws";

globalThis.WebSocket = WebSocket;
