// Types for CommonJS, which gets the same module by `require`.

import type * as entry from "./js.js" with { "resolution-mode": "import" };

export type * from "./js.js" with { "resolution-mode": "import" };
export declare const createClient: typeof entry.createClient;
export declare const TidewireError: typeof entry.TidewireError;
export type TidewireError = entry.TidewireError;
