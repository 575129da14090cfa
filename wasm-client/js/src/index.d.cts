// Types for CommonJS, which gets the same module by `require`.

import type * as entry from "./index.js" with { "resolution-mode": "import" };

export type * from "./index.js" with { "resolution-mode": "import" };
export declare const createClient: typeof entry.createClient;
export declare const TidewireError: typeof entry.TidewireError;
export type TidewireError = entry.TidewireError;
