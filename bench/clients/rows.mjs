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

const JSON_LIBRARIES = LIBRARIES.filter((name) => name !== "centrifuge-protobuf");
const BYTES_LIBRARIES = LIBRARIES.filter((name) => name !== "centrifuge");
const PUBLISHING_LIBRARIES = JSON_LIBRARIES.filter((name) => name !== "bare");

const received = SIZES.flatMap((size) => [
  row(size, "json", false, JSON_LIBRARIES),
  // A block of ours, like every frame of the others, holds one message of 16 KB.
  ...(size.bytes < 16_384 ? [row(size, "json", true, JSON_LIBRARIES)] : []),
]);
const bytes = SIZES.map((size) => row(size, "bytes", true, BYTES_LIBRARIES));
const published = SIZES.slice(0, 2).map((size) => ({
  ...row(size, "json", false, PUBLISHING_LIBRARIES),
  name: `publish, ${size.size} of JSON`,
  task: "publish",
}));

export const ROWS = [...received, ...bytes, ...published];

function row({ size, bytes, count }, kind, busy, libraries) {
  const what = kind === "json" ? `${size} of JSON` : `${size} of bytes`;
  const name = `receive, ${what}, ${busy ? "busy server" : "one a frame"}`;
  return { name, task: "receive", kind, bytes, count, busy, libraries };
}
