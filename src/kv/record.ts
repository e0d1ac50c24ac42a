/**
 * How a key and what it holds lie in memory and in a snapshot: as one run of bytes, because an object for each key, with
 * a typed array for its value, costs two to four times a small value's size on every runtime.
 *
 *     record := length u32 | key's length u16 | content type's length u16
 *             | created u64 | revision u64 | version u64 | key | content type | extras | value
 *     extras := due u64 | lease u64 | metadata's length u16 | metadata
 *
 * Integers are little endian; `length` counts the whole record. The default content type has length 0. Most keys have
 * nothing attached: extras are there only where the highest bit of the content type's length is set, and then one of
 * them is not 0.
 */
import {
  contentTypeBytesMax,
  defaultContentType,
  isContentType,
  type LeaseId,
  metadataBytesMax,
  valueBytesMax,
} from "./command.ts";
import { compareBytesAt, type Key, keyBytesMax, keyFromBytes } from "./key.ts";

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
  /** Another protocol's bytes, or null. Nobody writes to them. */
  readonly metadata: Uint8Array<ArrayBuffer> | null;
  /** The lease that it ends with, or null. */
  readonly lease: LeaseId | null;
  /** When it is to be deleted, in the cluster's time (milliseconds), or null. */
  readonly due: number | null;
}

/** What is attached to a key. */
export interface Attached<Bytes extends Uint8Array = Uint8Array> {
  /** Null rather than empty. */
  readonly metadata: Bytes | null;
  readonly lease: LeaseId | null;
  readonly due: number | null;
}

/** What a put writes. */
export interface Draft extends Pick<Item, "contentType" | "created" | "revision" | "version"> {
  readonly value: Uint8Array;
  /** Null where nothing is: not an object of nulls. */
  readonly attached: Attached | null;
}

/** Bytes of a record before its key. */
export const recordHeaderBytes = 32;
/** Bytes of extras before the metadata. */
const extrasHeaderBytes = 18;
/** The longest record, in bytes. */
export const recordBytesMax: number = recordHeaderBytes + keyBytesMax + contentTypeBytesMax +
  extrasHeaderBytes + metadataBytesMax + valueBytesMax;

const highWord = 0x1_0000_0000;
/** In the content type's length. */
const extrasBit = 0x8000;

/** Bytes of the record of `key` and `draft`. */
export function recordBytes(key: Key, { contentType, value, attached }: Draft): number {
  return recordHeaderBytes + key.length + storedType(contentType).length + extrasBytes(attached) +
    value.length;
}

function extrasBytes(attached: Attached | null): number {
  return attached === null ? 0 : extrasHeaderBytes + (attached.metadata?.length ?? 0);
}

/** Writes the record at `at`, where there is room for it. */
export function writeRecord(bytes: Uint8Array, at: number, key: Key, draft: Draft): void {
  const type = storedType(draft.contentType);
  writeU32(bytes, at, recordBytes(key, draft));
  writeU16(bytes, at + 4, key.length);
  writeU16(bytes, at + 6, type.length | (draft.attached === null ? 0 : extrasBit));
  writeU64(bytes, at + 8, draft.created);
  writeU64(bytes, at + 16, draft.revision);
  writeU64(bytes, at + 24, draft.version);
  writeText(bytes, at + recordHeaderBytes, key);
  writeText(bytes, at + recordHeaderBytes + key.length, type);
  if (draft.attached !== null) writeExtras(bytes, extrasAt(bytes, at), draft.attached);
  bytes.set(draft.value, valueStart(bytes, at));
}

function writeExtras(bytes: Uint8Array, at: number, { due, lease, metadata }: Attached): void {
  writeU64(bytes, at, due ?? 0);
  writeU64(bytes, at + 8, lease ?? 0);
  writeU16(bytes, at + 16, metadata?.length ?? 0);
  if (metadata !== null) bytes.set(metadata, at + extrasHeaderBytes);
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
  const length = typeLengthAt(bytes, at);
  if (length === 0) return defaultContentType;
  const start = at + recordHeaderBytes + readU16(bytes, at + 4);
  return keyFromBytes(bytes.subarray(start, start + length));
}

/** Where the value of the record at `at` begins; it reaches to the record's end. */
export function valueStart(bytes: Uint8Array, at: number): number {
  const start = extrasAt(bytes, at);
  return hasExtras(bytes, at) ? start + extrasHeaderBytes + readU16(bytes, start + 16) : start;
}

/** What is attached to the key of the record at `at`, null where nothing is. The metadata are a view. */
export function attachedAt<Buffer extends ArrayBufferLike>(
  bytes: Uint8Array<Buffer>,
  at: number,
): Attached<Uint8Array<Buffer>> | null {
  if (!hasExtras(bytes, at)) return null;
  const start = extrasAt(bytes, at);
  const metadata = bytes.subarray(start + extrasHeaderBytes, valueStart(bytes, at));
  return {
    metadata: metadata.length === 0 ? null : metadata,
    lease: readU64(bytes, start + 8) || null,
    due: readU64(bytes, start) || null,
  };
}

/** The item in the record at `at`. Value and metadata are views. */
export function itemAt(bytes: Uint8Array<ArrayBuffer>, at: number): Item {
  const attached = attachedAt(bytes, at);
  return {
    value: bytes.subarray(valueStart(bytes, at), at + lengthAt(bytes, at)),
    contentType: contentTypeAt(bytes, at),
    created: createdAt(bytes, at),
    revision: revisionAt(bytes, at),
    version: versionAt(bytes, at),
    metadata: attached?.metadata ?? null,
    lease: attached?.lease ?? null,
    due: attached?.due ?? null,
  };
}

/**
 * Puts off when the record at `at`, which is sound, is to be deleted, if it is. False where that would be never.
 * @param ms milliseconds
 */
export function putOffAt(bytes: Uint8Array, at: number, ms: number): boolean {
  if (!hasExtras(bytes, at)) return true;
  const start = extrasAt(bytes, at);
  const due = readU64(bytes, start);
  if (due === 0) return true;
  if (!Number.isSafeInteger(due + ms)) return false;
  writeU64(bytes, start, due + ms);
  return true;
}

function hasExtras(bytes: Uint8Array, at: number): boolean {
  return (bytes[at + 7]! & (extrasBit >>> 8)) !== 0;
}

function typeLengthAt(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + 6) & (extrasBit - 1);
}

/** Where the extras of the record at `at` begin, or its value where it has none. */
function extrasAt(bytes: Uint8Array, at: number): number {
  return at + recordHeaderBytes + readU16(bytes, at + 4) + typeLengthAt(bytes, at);
}

/** Negative, 0 or positive as the key of the record at `at` is before, at or behind `key`. */
export function compareKeyAt(bytes: Uint8Array, at: number, key: Key): number {
  return compareBytesAt(bytes, at + recordHeaderBytes, readU16(bytes, at + 4), key);
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
  const typeLength = typeLengthAt(bytes, at);
  const end = at + lengthAt(bytes, at);
  if (keyLength === 0 || keyLength > keyBytesMax) return `a key of ${keyLength} bytes`;
  if (hasExtras(bytes, at)) {
    const flaw = extrasFlaw(bytes, extrasAt(bytes, at), end);
    if (flaw !== null) return flaw;
  }
  const valueLength = end - valueStart(bytes, at);
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
  const isHistory = created >= 1 && revision >= created && revision <= storeRevision &&
    version >= 1 && (version > 1 || revision === created);
  return isHistory ? null : "revisions that cannot be";
}

function extrasFlaw(bytes: Uint8Array, at: number, end: number): string | null {
  if (at + extrasHeaderBytes > end) return "extras beyond the record";
  const due = readU64(bytes, at);
  const lease = readU64(bytes, at + 8);
  const length = readU16(bytes, at + 16);
  if (length > metadataBytesMax) return `metadata of ${length} bytes`;
  const isOne = due + lease + length > 0 && Number.isSafeInteger(due) &&
    Number.isSafeInteger(lease);
  return isOne ? null : "extras that are none";
}

function storedType(contentType: string): string {
  return contentType === defaultContentType ? "" : contentType;
}

function writeText(bytes: Uint8Array, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

/** Writes an unsigned 16-bit integer, little endian. */
export function writeU16(bytes: Uint8Array, at: number, value: number): void {
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
  // A remainder of such numbers takes ten times as long as the rest.
  const high = value < highWord ? 0 : Math.floor(value / highWord);
  writeU32(bytes, at, value - high * highWord);
  writeU32(bytes, at + 4, high);
}

/** The unsigned 16-bit integer at `at`, little endian. */
export function readU16(bytes: Uint8Array, at: number): number {
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
