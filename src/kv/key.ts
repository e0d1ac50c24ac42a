/**
 * Keys are bytes, compared bytewise. Inside they are binary strings, one character (U+0000–U+00FF) per byte: engines
 * keep those at one byte per character, and the order of such strings is the order of the bytes.
 */

/** A key as a binary string. */
export type Key = string;

/** The longest key, in bytes; the shortest has one. */
export const keyBytesMax: number = 2048;

/** At most so many arguments are passed to one call, far below every engine's bound. */
const argumentsMax = 8192;

/** The binary string of `bytes`, of any length. */
export function keyFromBytes(bytes: Uint8Array): Key {
  if (bytes.length <= argumentsMax) return Reflect.apply(String.fromCharCode, null, bytes);
  let text = "";
  for (let at = 0; at < bytes.length; at += argumentsMax) {
    text += Reflect.apply(String.fromCharCode, null, bytes.subarray(at, at + argumentsMax));
  }
  return text;
}

/** The bytes that `key`, a binary string, stands for. */
export function keyToBytes(key: Key): Uint8Array {
  const bytes = new Uint8Array(key.length);
  for (let i = 0; i < key.length; i++) bytes[i] = key.charCodeAt(i);
  return bytes;
}

/** The first key behind all keys that begin with `prefix`, or null where none is: an empty prefix, or all 0xff. */
export function prefixEnd(prefix: Key): Key | null {
  let length = prefix.length;
  while (length > 0 && prefix.charCodeAt(length - 1) === 0xff) length--;
  if (length === 0) return null;
  return prefix.slice(0, length - 1) + String.fromCharCode(prefix.charCodeAt(length - 1) + 1);
}
