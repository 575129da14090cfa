// The engine in JavaScript as the package's sources get it in tests.

import make from "../../../target/wasm/tidewire_wasm_script.js";
import { watched } from "./support.mjs";

export default () => watched(make);
