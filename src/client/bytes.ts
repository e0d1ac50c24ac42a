/** Bytes and text, and bytes as JSON carries them. */

/** At most so many arguments are passed to one call, far below every engine's bound. */
const ARGUMENTS_MAX = 8192;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** @throws {TypeError} for text that has no UTF-8. */
export function toBytes(value: Uint8Array | string): Uint8Array {
  if (typeof value !== "string") return value;
  if (!value.isWellFormed()) throw new TypeError("text must not hold half a surrogate pair");
  return encoder.encode(value);
}

/** The text that `value` is, or null where it is not UTF-8. @throws {TypeError} as {@link toBytes}. */
export function toText(value: Uint8Array | string): string | null {
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new TypeError("text must not hold half a surrogate pair");
    return value;
  }
  try {
    return decoder.decode(value);
  } catch {
    return null;
  }
}

/** Base64 (RFC 4648, section 4). */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += ARGUMENTS_MAX) {
    text += String.fromCharCode(...bytes.subarray(at, at + ARGUMENTS_MAX));
  }
  return btoa(text);
}

/** Throws where `text` is not base64. */
export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** One run of bytes. */
export function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
