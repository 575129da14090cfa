import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { tide } from "./chat";
import "./style.css";

// What waits to be sent lives in this page alone.
addEventListener("beforeunload", (event) => {
  if (tide.outbox.count > 0) event.preventDefault();
});

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
