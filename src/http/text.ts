/** Bytes as JSON can carry them: text where they are UTF-8, base64 where not. */
import { type Key, keyFromBytes, keyToBytes } from "../kv/key.ts";

const encoder = new TextEncoder();
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text that `bytes` are, or null where they are not UTF-8. */
export function textOf(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}

/** The text that a key is, or null where it is not UTF-8. */
export function textOfKey(key: Key): string | null {
  return /[\x80-\xff]/.test(key) ? textOf(keyToBytes(key)) : key;
}

/** The UTF-8 bytes of `text`, or null where it holds half a surrogate pair: no bytes spell that. */
export function bytesOfText(text: string): Uint8Array | null {
  return text.isWellFormed() ? encoder.encode(text) : null;
}

/** The key that `text` is, or null where it holds half a surrogate pair. */
export function keyOfText(text: string): Key | null {
  if (!/[^\x00-\x7f]/.test(text)) return text;
  const bytes = bytesOfText(text);
  return bytes === null ? null : keyFromBytes(bytes);
}

/** The bytes that {@link base64Of} gave `text` for, as a binary string, or null where it gave it for none. */
export function fromBase64(text: string): Key | null {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  const bytes = atob(text);
  const last = text.slice(-4);
  // Bits behind the last byte have to be zero: one spelling for each value.
  return last === btoa(bytes.slice(bytes.length - (bytes.length % 3 || 3))) ? bytes : null;
}

/** Base64 (RFC 4648, section 4). */
export function base64Of(bytes: Uint8Array): string {
  return btoa(keyFromBytes(bytes));
}

/** Base64 for URLs, without padding (RFC 4648, section 5). */
export function base64UrlOf(bytes: Key): string {
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** The bytes that {@link base64UrlOf} gave `text` for, or null where it gave it for none. */
export function fromBase64Url(text: string): Key | null {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return null;
  const bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return base64UrlOf(bytes) === text ? bytes : null;
}

/** How many bytes a text is in UTF-8. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    // Each half of a pair of surrogates stands for two bytes of four. There are no others: JSON escapes them.
    if (unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff)) length += 2;
    else if (unit > 0x7f) length++;
  }
  return length;
}
