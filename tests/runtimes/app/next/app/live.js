"use client";

import { createClient } from "@tidewire/client";
import { useEffect } from "react";
import { address } from "../../address.js";
import { program } from "../../program.js";

// Made where the page is rendered, too.
const tide = createClient("ws://127.0.0.1:1");

export function Live() {
  useEffect(() => {
    globalThis.result ??= program(createClient, address());
  }, []);
  return <p>state: {tide.status.state}</p>;
}
