/**
 * How a key and what it holds lie in memory and in a snapshot: as one run of bytes, because an object for each key, with
 * a typed array for its value, costs two to four times a small value's size on every runtime.
 *
 *     record := length u32 | key's length u16 | content type's length u16
 *             | created u64 | revision u64 | version u64 | key | content type | value
 *
 * Integers are little endian; `length` counts the whole record. The default content type has length 0.
 */
import {
  contentTypeBytesMax,
  defaultContentType,
  isContentType,
  valueBytesMax,
} from "./command.ts";
import { type Key, keyBytesMax, keyFromBytes } from "./key.ts";

/** What a key holds, taken out of the store: nothing that happens there changes it. Nobody writes to `value`. */
export interface Item {
  readonly value: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
  /** The revision that created the key. */
  readonly created: number;
  /** The revision that last changed it. */
  readonly revision: number;
  /** 1 at creation, and up by one with each put. */
  readonly version: number;
}

/** What a put writes. */
export interface Draft extends Omit<Item, "value"> {
  readonly value: Uint8Array;
}

/** Bytes of a record before its key. */
export const recordHeaderBytes = 32;
/** The longest record, in bytes. */
export const recordBytesMax: number = recordHeaderBytes + keyBytesMax + contentTypeBytesMax +
  valueBytesMax;

const highWord = 0x1_0000_0000;

/** Bytes of the record of `key` and `draft`. */
export function recordBytes(key: Key, { contentType, value }: Draft): number {
  return recordHeaderBytes + key.length + storedType(contentType).length + value.length;
}

/** Writes the record at `at`, where there is room for it. */
export function writeRecord(bytes: Uint8Array, at: number, key: Key, draft: Draft): void {
  const type = storedType(draft.contentType);
  writeU32(bytes, at, recordBytes(key, draft));
  writeU16(bytes, at + 4, key.length);
  writeU16(bytes, at + 6, type.length);
  writeU64(bytes, at + 8, draft.created);
  writeU64(bytes, at + 16, draft.revision);
  writeU64(bytes, at + 24, draft.version);
  writeText(bytes, at + recordHeaderBytes, key);
  writeText(bytes, at + recordHeaderBytes + key.length, type);
  bytes.set(draft.value, at + recordHeaderBytes + key.length + type.length);
}

/** The length of the record at `at`, of which 4 bytes are there. */
export function lengthAt(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at);
}

export function keyAt(bytes: Uint8Array, at: number): Key {
  const start = at + recordHeaderBytes;
  return keyFromBytes(bytes.subarray(start, start + readU16(bytes, at + 4)));
}

export function createdAt(bytes: Uint8Array, at: number): number {
  return readU64(bytes, at + 8);
}

export function revisionAt(bytes: Uint8Array, at: number): number {
  return readU64(bytes, at + 16);
}

export function versionAt(bytes: Uint8Array, at: number): number {
  return readU64(bytes, at + 24);
}

/** The content type of the record at `at`. */
export function contentTypeAt(bytes: Uint8Array, at: number): string {
  const length = readU16(bytes, at + 6);
  if (length === 0) return defaultContentType;
  const start = at + recordHeaderBytes + readU16(bytes, at + 4);
  return keyFromBytes(bytes.subarray(start, start + length));
}

/** Where the value of the record at `at` begins; it reaches to the record's end. */
export function valueStart(bytes: Uint8Array, at: number): number {
  return at + recordHeaderBytes + readU16(bytes, at + 4) + readU16(bytes, at + 6);
}

/** Negative, 0 or positive as the key of the record at `at` is before, at or behind `key`. */
export function compareKeyAt(bytes: Uint8Array, at: number, key: Key): number {
  const length = readU16(bytes, at + 4);
  const start = at + recordHeaderBytes;
  const common = length < key.length ? length : key.length;
  for (let i = 0; i < common; i++) {
    const difference = bytes[start + i]! - key.charCodeAt(i);
    if (difference !== 0) return difference;
  }
  return length - key.length;
}

/** Whether the key of the record at `at` is behind that of the one at `previousAt`. */
export function isBehind(bytes: Uint8Array, at: number, previousAt: number): boolean {
  const length = readU16(bytes, at + 4);
  const previousLength = readU16(bytes, previousAt + 4);
  const common = length < previousLength ? length : previousLength;
  const start = at + recordHeaderBytes;
  const previousStart = previousAt + recordHeaderBytes;
  for (let i = 0; i < common; i++) {
    const difference = bytes[start + i]! - bytes[previousStart + i]!;
    if (difference !== 0) return difference > 0;
  }
  return length > previousLength;
}

/**
 * What no run of commands could have left in the record at `at`, which is there in full, of a store at
 * `storeRevision`; null where it is sound.
 */
export function flawAt(bytes: Uint8Array, at: number, storeRevision: number): string | null {
  const keyLength = readU16(bytes, at + 4);
  const typeLength = readU16(bytes, at + 6);
  const valueLength = lengthAt(bytes, at) - recordHeaderBytes - keyLength - typeLength;
  if (keyLength === 0 || keyLength > keyBytesMax) return `a key of ${keyLength} bytes`;
  if (valueLength < 0 || valueLength > valueBytesMax) return "a value of no possible length";
  if (typeLength > 0) {
    const type = contentTypeAt(bytes, at);
    if (type === defaultContentType || !isContentType(type)) {
      return "a content type that is not one";
    }
  }
  const created = createdAt(bytes, at);
  const revision = revisionAt(bytes, at);
  const version = versionAt(bytes, at);
  const isHistory = created >= 1 && revision <= storeRevision && version >= 1 &&
    // Each put takes a revision: a key put `version` times was created at least `version - 1` revisions before.
    (version === 1 ? revision === created : revision - created >= version - 1);
  return isHistory ? null : "revisions that cannot be";
}

function storedType(contentType: string): string {
  return contentType === defaultContentType ? "" : contentType;
}

function writeText(bytes: Uint8Array, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

/** Writes an unsigned 32-bit integer, little endian. */
export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  writeU16(bytes, at, value);
  writeU16(bytes, at + 2, value >>> 16);
}

/** Writes an integer from 0 to 2^53 - 1 as 64 bits, little endian. */
export function writeU64(bytes: Uint8Array, at: number, value: number): void {
  writeU32(bytes, at, value % highWord);
  writeU32(bytes, at + 4, value < highWord ? 0 : Math.floor(value / highWord));
}

function readU16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

/** The unsigned 32-bit integer at `at`, little endian. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (readU16(bytes, at) | (readU16(bytes, at + 2) << 16)) >>> 0;
}

/** The unsigned 64-bit integer at `at`, little endian; inexact beyond 2^53. */
export function readU64(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) + readU32(bytes, at + 4) * highWord;
}
