// Plays the engine in JavaScript in a runtime that has `print` and little else.

import { scriptEngine } from "../../src/load/script.ts";
import { lives } from "./lives.mjs";

print(lives(scriptEngine));
