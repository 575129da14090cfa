// Frames as arrays of bytes: those of a hub are written, of those of a client the numbers are read.

/** Of numbers, texts and arrays of bytes, by field number; what is undefined is left out. */
export function frame(kind, fields) {
  return [kind, ...counted(fieldsAs(fields))];
}

/** The same without what is before them, as what a message has besides. */
export function fieldsAs(fields) {
  const body = [];
  for (const number of Object.keys(fields)) {
    const value = fields[number];
    if (value === undefined) continue;
    if (typeof value === "number") body.push(...varint(number * 2), ...varint(value));
    else body.push(...varint(number * 2 + 1), ...counted(value));
  }
  return body;
}

/** A block; messages are `[step, content, payload, ext]`. */
export function block(tail, prev, messages) {
  const body = [...varint(tail), 0, ...varint(prev), ...varint(1_000)];
  for (const [step, content, payload, ext = []] of messages) {
    const flags = content - 1 + (ext.length ? 32 : 0);
    const more = ext.length ? counted(ext) : [];
    body.push(...counted([flags, ...varint(step), 1, ...more, ...payload]));
  }
  return [96, ...counted(body)];
}

export function gap(reason, from, to, epoch) {
  return [...varint(reason), ...varint(from), ...varint(to), ...epoch];
}

export function varint(number) {
  const bytes = [];
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) | 128);
  bytes.push(number);
  return bytes;
}

/** The numbers in the frames of a packet without its payloads, as `{ kind, fields }`. */
export function framesOf({ bytes, places }) {
  const frames = [];
  const reader = { bytes, at: 0 };
  while (reader.at < bytes.length) {
    const kind = bytes[reader.at++];
    let end = read(reader) + reader.at;
    const fields = {};
    while (reader.at < end) {
      const key = read(reader);
      const value = read(reader);
      if (key % 2 === 0) fields[key / 2] = value;
      else if (places.includes(reader.at)) end -= value;
      else reader.at += value;
    }
    frames.push({ kind, fields });
  }
  return frames;
}

function read(reader) {
  let number = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = reader.bytes[reader.at++];
    number += (byte & 127) * scale;
    if (byte < 128) return number;
  }
}

export function counted(bytes) {
  return [...varint(bytes.length), ...bytes];
}
