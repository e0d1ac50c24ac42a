/** Keys, in URLs and in documents. */
import type { KeyFields, RangeFields } from "../http/wire.ts";
import { toBase64, toBytes, toText } from "./bytes.ts";

/** A key: text stands for its UTF-8 bytes. */
export type Key = string | Uint8Array;

/** A range of keys; all of them where nothing is said. `prefix` does not go with the others. */
export interface KeyRange {
  readonly prefix?: Key;
  readonly start?: Key;
  /** The first key behind the range. */
  readonly end?: Key;
}

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

/**
 * The path of a key, or null for `.` and `..`, which no URL that `fetch` takes can spell. Slashes stand as they are,
 * unless a segment is `.` or `..`, which `fetch` would resolve.
 * @throws {TypeError} for the empty key.
 */
export function keyPath(key: Key): string | null {
  const path = typeof key === "string" && /^[A-Za-z0-9._~:@/-]+$/.test(key)
    ? key
    : encodeBytes(toBytes(key), /[A-Za-z0-9._~!$&'()*,;=:@/-]/);
  if (path === "") throw new TypeError("a key has at least one byte");
  if (path === "." || path === "..") return null;
  const hasDots = /(?:^|\/)\.\.?(?:\/|$)/.test(path);
  return `/v1/kv/${hasDots ? path.replaceAll("/", "%2F") : path}`;
}

/** A key, or the beginning of one, as a query's value. */
export function keyParameter(key: Key): string {
  return encodeBytes(toBytes(key), unreserved).replaceAll("&", "%26").replaceAll("+", "%2B");
}

/** A range, as a query has it. */
export function rangeParameters({ prefix, start, end }: KeyRange): Record<string, string> {
  return {
    ...(prefix === undefined ? {} : { prefix: keyParameter(prefix) }),
    ...(start === undefined ? {} : { start: keyParameter(start) }),
    ...(end === undefined ? {} : { end: keyParameter(end) }),
  };
}

/** A key, as a document has it. */
export function keyFields(key: Key): KeyFields {
  if (key.length === 0) throw new TypeError("a key has at least one byte");
  const text = toText(key);
  return text === null ? { key: toBase64(toBytes(key)), keyEncoding: "base64" } : { key: text };
}

/** A range, as a document has it. */
export function rangeFields(range: KeyRange): RangeFields {
  const bounds = Object.entries({ prefix: range.prefix, start: range.start, end: range.end })
    .flatMap(([name, key]) => (key === undefined ? [] : [[name, key] as const]));
  const texts = bounds.map(([name, key]) => [name, toText(key)] as const);
  if (texts.every(([, text]) => text !== null)) return Object.fromEntries(texts) as RangeFields;
  const coded = bounds.map(([name, key]) => [name, toBase64(toBytes(key))] as const);
  return { ...Object.fromEntries(coded), keyEncoding: "base64" };
}
