import { defineConfig } from "vite";

// `npm run dev -w web` serves the sources and passes the WebSocket on to a hub that runs with `--dev --demo`.
export default defineConfig({
  build: {
    target: "es2022",
    // Every browser of the last two years knows `light-dark()`; an older target would make the styles twice as long.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { "/v1/ws": { target: "ws://127.0.0.1:7700", ws: true } } },
});
