// The same file for Jest and for Vitest.

import { writeFileSync } from "node:fs";
import { createClient } from "@tidewire/client";
import { program } from "../program.js";

const SECONDS_MAX = 30;

test(
  "the package, in a test of an application",
  async () => {
    const result = await program(createClient, JSON.parse(process.env.ADDRESS));
    writeFileSync(process.env.RESULT, JSON.stringify(result));
  },
  SECONDS_MAX * 1000,
);
