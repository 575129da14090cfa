import { defineConfig } from "vite";

// The hub is where the page is, as behind a proxy: `vite` and `vite preview` pass the WebSocket on to it.
export default defineConfig({
  server: { proxy: { "/v1/ws": { target: "ws://127.0.0.1:7700", ws: true } } },
});
