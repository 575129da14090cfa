// What the engine passes over in the hub's frames: sentences for people, and answers to questions of our own.

/** Where a frame that refuses has its code and its sentence, by its kind. */
const texts: Record<number, readonly [code: number, sentence: number]> = {
  66: [2, 3],
  69: [4, 7],
  71: [3, 4],
  76: [2, 4],
  77: [1, 3],
};
const heartbeat = 75;
const utf8 = new TextDecoder();

/** Gives the sentences by code, and the numbers of heartbeats that were asked for. Frames that are broken end it. */
export function overhear(
  message: Uint8Array,
  said: (code: number, sentence: string) => void,
  beat: (request: number) => void,
): void {
  for (let at = 0; at < message.length; ) {
    const kind = message[at];
    const [length, start] = number(message, at + 1);
    at = start + length;
    const text = texts[kind as number];
    if (!text && kind !== heartbeat) continue;
    const fields = fieldsOf(message.subarray(start, at));
    const sentence = text && fields.get(text[1]);
    if (sentence instanceof Uint8Array) {
      said(fields.get(text?.[0] ?? 0) as number, utf8.decode(sentence));
    } else if (!text) {
      beat(fields.get(1) as number);
    }
  }
}

/** A question that the hub answers at once. */
export function heartbeatAsked(request: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array([10, 2, 2, request]);
}

function fieldsOf(body: Uint8Array): Map<number, number | Uint8Array> {
  const fields = new Map<number, number | Uint8Array>();
  for (let at = 0; at < body.length; ) {
    const [key, value] = number(body, at);
    const [content, next] = number(body, value);
    const isBytes = key % 2 > 0;
    at = isBytes ? next + content : next;
    fields.set((key - (key % 2)) / 2, isBytes ? body.subarray(next, at) : content);
  }
  return fields;
}

/** A number, and where it ends. */
function number(bytes: Uint8Array, start: number): [value: number, next: number] {
  let value = 0;
  let at = start;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++] ?? 0;
    value += (byte % 128) * scale;
    if (byte < 128) return [value, at];
  }
}
