// The engine's faults by number.

import { clientCodes, protocolCodes } from "./tables.js";

export type FaultCode = (typeof protocolCodes | typeof clientCodes)[number];

/** The code behind a fault's number; `unknown` is one that this version does not know. */
export function codeOf(number: number): FaultCode | "unknown" {
  return (number > 99 ? clientCodes[number - 100] : protocolCodes[number - 1]) ?? "unknown";
}
