// Text as UTF-8, by coders made with the first use: what imitates a page in tests may have none, and the package must
// be imported there.

let encoder: TextEncoder | undefined;
let decoder: TextDecoder | undefined;

export function toUtf8(text: string): Uint8Array<ArrayBuffer> {
  encoder ??= new TextEncoder();
  return encoder.encode(text);
}

export function fromUtf8(bytes: Uint8Array): string {
  decoder ??= new TextDecoder();
  return decoder.decode(bytes);
}
