/** Keys in URLs and in listings. */
import type { ItemAnswer } from "../http/wire.ts";

/** A key: text stands for its UTF-8 bytes. */
export type Key = string | Uint8Array;

const unreserved = /[A-Za-z0-9._~!$&'()*,;=:@-]/;

function encodeBytes(bytes: Uint8Array, kept: RegExp): string {
  let text = "";
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    text += kept.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return text;
}

function bytesOf(key: Key): Uint8Array {
  if (typeof key !== "string") return key;
  if (!key.isWellFormed()) throw new TypeError("a key of text must not hold half a surrogate pair");
  return new TextEncoder().encode(key);
}

/**
 * The path of a key. Slashes stand as they are, unless a segment is `.` or `..`, which `fetch` would resolve.
 * @throws {TypeError} for the empty key, and for `.` and `..`, which no URL that `fetch` takes can spell.
 */
export function keyPath(key: Key): string {
  const path = encodeBytes(bytesOf(key), /[A-Za-z0-9._~!$&'()*,;=:@/-]/);
  if (path === "") throw new TypeError("a key has at least one byte");
  if (path === "." || path === "..") throw new TypeError(`no URL can name the key ${path}`);
  const hasDots = path.split("/").some((segment) => segment === "." || segment === "..");
  return `/v1/kv/${hasDots ? path.replaceAll("/", "%2F") : path}`;
}

/** A key, or the beginning of one, as a query's value. */
export function keyParameter(key: Key): string {
  return encodeBytes(bytesOf(key), unreserved).replaceAll("&", "%26").replaceAll("+", "%2B");
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** The key and the value of a listing's item, as they were put. Throws where base64 is not. */
export function itemBytes(item: ItemAnswer): { readonly key: Key; readonly value: Uint8Array } {
  const { value = "" } = item;
  return {
    key: typeof item.key === "string" && item.keyEncoding === "base64"
      ? fromBase64(item.key)
      : item.key,
    value: typeof value !== "string"
      ? value
      : item.encoding === "base64"
      ? fromBase64(value)
      : new TextEncoder().encode(value),
  };
}
