/**
 * How a change lies in the history, in memory and in a snapshot: what every key that it touched held before.
 *
 *     change := length u32 | revision u64 | number of events u32 | event*
 *     event  := flags u8 (1: put, 2: had a value before) | before u64 | record, or key's length u16 | key
 *
 * Integers are little endian; `length` counts the whole change. `before` is the revision of the change that touched the
 * key before this one, as far as it is known: 0 where it isn't. A record (`record.ts`) is what the key held before. The
 * keys strictly ascend.
 */
import { compareBytesAt, type Key, keyBytesMax, keyFromRange, writeKey } from "./key.ts";
import {
  compareKeyAt,
  flawAt,
  keyAt,
  lengthAt,
  putOffAt,
  readU16,
  readU32,
  readU64,
  recordHeaderBytes,
  revisionAt,
  writeU16,
  writeU32,
  writeU64,
} from "./record.ts";

/** A key that a change touched. */
export interface Touched {
  readonly key: Key;
  /** Its record before, null where it was absent. */
  readonly previous: Uint8Array | null;
  /** Whether it was put, not deleted. */
  readonly isPut: boolean;
}

export const changeHeaderBytes = 16;
const eventHeaderBytes = 9;
const putFlag = 1;
const previousFlag = 2;

/** Bytes of the event of `key`. */
export function eventBytes(key: Key, previous: Uint8Array | null): number {
  return eventHeaderBytes + (previous === null ? 2 + key.length : previous.length);
}

/** Writes the head of a change of `length` bytes and returns where its first event begins. */
export function writeChangeHeader(
  bytes: Uint8Array,
  at: number,
  { length, revision, count }: {
    readonly length: number;
    readonly revision: number;
    readonly count: number;
  },
): number {
  writeU32(bytes, at, length);
  writeU64(bytes, at + 4, revision);
  writeU32(bytes, at + 12, count);
  return at + changeHeaderBytes;
}

/** Writes an event and returns where it ends. */
export function writeEvent(
  bytes: Uint8Array,
  at: number,
  touched: Touched,
  before: number,
): number {
  const { key, previous, isPut } = touched;
  bytes[at] = (isPut ? putFlag : 0) | (previous === null ? 0 : previousFlag);
  writeU64(bytes, at + 1, before);
  const start = at + eventHeaderBytes;
  if (previous !== null) {
    bytes.set(previous, start);
    return start + previous.length;
  }
  writeU16(bytes, start, key.length);
  return writeKey(bytes, start + 2, key);
}

export function changeLengthAt(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at);
}

export function changeRevisionAt(bytes: Uint8Array, at: number): number {
  return readU64(bytes, at + 4);
}

export function changeCountAt(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + 12);
}

/** Where each event of the change at `at` begins. */
export function eventStarts(bytes: Uint8Array, at: number): Uint32Array {
  const starts = new Uint32Array(changeCountAt(bytes, at));
  let next = at + changeHeaderBytes;
  for (let i = 0; i < starts.length; i++) {
    starts[i] = next;
    next = eventEnd(bytes, next);
  }
  return starts;
}

export function isPutAt(bytes: Uint8Array, at: number): boolean {
  return (bytes[at]! & putFlag) !== 0;
}

/** The revision of the change that touched the key of the event at `at` before, 0 where it isn't known. */
export function beforeAt(bytes: Uint8Array, at: number): number {
  return readU64(bytes, at + 1);
}

/** Where the record begins that the key of the event at `at` held before; null where it was absent. */
export function previousAt(bytes: Uint8Array, at: number): number | null {
  return hasPrevious(bytes, at) ? at + eventHeaderBytes : null;
}

export function eventKeyAt(bytes: Uint8Array, at: number): Key {
  const start = at + eventHeaderBytes;
  if (hasPrevious(bytes, at)) return keyAt(bytes, start);
  return keyFromRange(bytes, start + 2, start + 2 + readU16(bytes, start));
}

/** What the event at `at` says. The record is a view. */
export function touchedAt(bytes: Uint8Array, at: number): Touched {
  const previous = previousAt(bytes, at);
  return {
    key: eventKeyAt(bytes, at),
    previous: previous === null ? null : bytes.subarray(previous, eventEnd(bytes, at)),
    isPut: isPutAt(bytes, at),
  };
}

/** Negative, 0 or positive as the key of the event at `at` is before, at or behind `key`. */
export function compareEventKeyAt(bytes: Uint8Array, at: number, key: Key): number {
  const start = at + eventHeaderBytes;
  if (hasPrevious(bytes, at)) return compareKeyAt(bytes, start, key);
  return compareBytesAt(bytes, start + 2, readU16(bytes, start), key);
}

function hasPrevious(bytes: Uint8Array, at: number): boolean {
  return (bytes[at]! & previousFlag) !== 0;
}

function eventEnd(bytes: Uint8Array, at: number): number {
  const start = at + eventHeaderBytes;
  return hasPrevious(bytes, at)
    ? start + lengthAt(bytes, start)
    : start + 2 + readU16(bytes, start);
}

/**
 * Puts off when the keys of the change that fills `bytes` were to be deleted; false where that would be never. A change
 * that is not sound is left as it is.
 * @param ms milliseconds
 */
export function putOffIn(bytes: Uint8Array, ms: number): boolean {
  if (changeFlaw(bytes) !== null) return true;
  return [...eventStarts(bytes, 0)].every((start) => {
    const previous = previousAt(bytes, start);
    return previous === null || putOffAt(bytes, previous, ms);
  });
}

/** What no run of commands could have left in the change that fills `bytes`; null where it is sound. */
export function changeFlaw(bytes: Uint8Array): string | null {
  if (bytes.length < changeHeaderBytes) return "a change without a head";
  if (changeLengthAt(bytes, 0) !== bytes.length) return "a change of another length";
  const revision = changeRevisionAt(bytes, 0);
  let at = changeHeaderBytes;
  let last: Key | null = null;
  for (let left = changeCountAt(bytes, 0); left > 0; left--) {
    const flaw = eventFlaw(bytes, at, revision);
    if (flaw !== null) return flaw;
    const key = eventKeyAt(bytes, at);
    if (last !== null && key <= last) return "events out of order";
    last = key;
    at = eventEnd(bytes, at);
  }
  return at === bytes.length ? null : "bytes behind a change's events";
}

function eventFlaw(bytes: Uint8Array, at: number, revision: number): string | null {
  const start = at + eventHeaderBytes;
  // A key's length and a byte of it, at the least.
  if (start + 3 > bytes.length) return "an event beyond its change";
  if (bytes[at]! > (putFlag | previousFlag)) return "an event of an unknown kind";
  const before = beforeAt(bytes, at);
  if (!(before < revision)) return "an event that comes before the one before it";
  if (!hasPrevious(bytes, at)) {
    const length = readU16(bytes, start);
    if (length === 0 || length > keyBytesMax) return `a key of ${length} bytes`;
    if (!isPutAt(bytes, at)) return "a deletion of nothing";
    return start + 2 + length > bytes.length ? "an event beyond its change" : null;
  }
  const length = start + 4 > bytes.length ? 0 : lengthAt(bytes, start);
  if (length < recordHeaderBytes || start + length > bytes.length) {
    return "a record beyond its change";
  }
  if (revisionAt(bytes, start) !== before) return "a record of another change";
  return flawAt(bytes, start, revision - 1);
}
