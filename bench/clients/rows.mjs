// What is measured: by whom, of which size, in which frames.

/** Ours first; `bare` is a WebSocket and JSON.parse, without a library. */
export const LIBRARIES = [
  "tidewire",
  "centrifuge",
  "centrifuge-protobuf",
  "socket.io",
  "mqtt",
  "bare",
];

const SIZES = [
  { bytes: 64, size: "64 B", count: 20_000 },
  { bytes: 1_024, size: "1 KB", count: 10_000 },
  { bytes: 16_384, size: "16 KB", count: 1_000 },
];

/** A block of ours, like every frame of the others, holds one message of this size. */
const BLOCK_BYTES = 16_384;
/** How a server sends: each message when the one before has arrived; under load; and whole blocks, which only ours has. */
const PACES = { slow: "one a frame", busy: "busy server", full: "full blocks" };

const OURS = ["tidewire"];
const JSON_LIBRARIES = LIBRARIES.filter((name) => name !== "centrifuge-protobuf");
const BYTES_LIBRARIES = LIBRARIES.filter((name) => name !== "centrifuge");
const PUBLISHING_LIBRARIES = JSON_LIBRARIES.filter((name) => name !== "bare");

const received = SIZES.flatMap((size) => [
  row(size, "json", "slow", JSON_LIBRARIES),
  ...(size.bytes < BLOCK_BYTES ? [row(size, "json", "busy", JSON_LIBRARIES)] : []),
  ...(size.bytes < BLOCK_BYTES ? [row(size, "json", "full", OURS)] : []),
]);
const bytes = SIZES.flatMap((size) => [
  row(size, "bytes", "busy", BYTES_LIBRARIES),
  ...(size.bytes < BLOCK_BYTES ? [row(size, "bytes", "full", OURS)] : []),
]);
const published = SIZES.slice(0, 2).map((size) => ({
  ...row(size, "json", "slow", PUBLISHING_LIBRARIES),
  name: `publish, ${size.size} of JSON`,
  task: "publish",
}));

export const ROWS = [...received, ...bytes, ...published];

function row({ size, bytes, count }, kind, pace, libraries) {
  const what = kind === "json" ? `${size} of JSON` : `${size} of bytes`;
  const name = `receive, ${what}, ${PACES[pace]}`;
  return { name, task: "receive", kind, bytes, count, pace, libraries };
}
