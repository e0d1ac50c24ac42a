/**
 * CBOR (RFC 8949), the part of it that Holdfast speaks: a guard of ours in front of cbor-x.
 *
 * cbor-x is fast and not hardened: nested headers of a few kilobytes can exhaust the heap, and tags run code paths
 * that nobody wants here. So bytes from outside pass {@link wellFormed} first. What it lets through is one data item
 * and nothing behind it, made of
 *
 * - integers from -2^32 to 2^53 - 1 and floats of any width, which all decode into numbers;
 * - byte strings, text strings of valid UTF-8, and arrays;
 * - maps whose keys are text strings other than `__proto__` (which cbor-x would rename);
 * - false, true, null and undefined.
 *
 * Tags, indefinite lengths, other simple values and reserved encodings are refused, and so is a text string that
 * begins with a byte order mark, which cbor-x would drop. Encodings need not be the shortest, and of a key that
 * comes twice the last counts.
 *
 * The pure JavaScript entry points of cbor-x are imported on purpose: its native one is there on some machines only.
 */
import { Decoder, type Options } from "cbor-x/decode";
import { Encoder } from "cbor-x/encode";
import { MalformedBytes } from "./errors.ts";

/** Bounds on what is decoded. Memory used is at most a small multiple of `itemsMax` plus the input's size. */
export interface CborLimits {
  /** Bytes in all. */
  readonly totalBytesMax: number;
  /** Arrays and maps within each other: 0 allows neither. */
  readonly depthMax: number;
  /** Data items at all levels; a pair of a map counts as two. */
  readonly itemsMax: number;
  /** Bytes of one text string. */
  readonly textBytesMax: number;
  /** Bytes of one byte string. */
  readonly byteStringBytesMax: number;
}

const options: Options & { readonly int64AsNumber: boolean } = {
  useRecords: false,
  mapsAsObjects: true,
  tagUint8Array: false,
  variableMapSize: true,
  int64AsNumber: true,
};
const encoder = new Encoder(options);
const decoder = new Decoder(options);

/**
 * Encodes plain data: numbers, strings, booleans, null, `Uint8Array`, arrays and objects. The same value gives the
 * same bytes on every runtime: lengths and integers below 2^32 take the shortest form, integers beyond are 64-bit
 * floats (exact up to 2^53), keys keep their order.
 *
 * What {@link decodeCbor} refuses must not be handed in: bigints beyond 2^53, lone surrogates, a key `__proto__`.
 * Nor must a NaN that came out of arithmetic: its bits differ between engines.
 *
 * The result is a view into a slab that is never written again there; who keeps it for long copies it, or keeps
 * the slab.
 */
export function encodeCbor(value: unknown): Uint8Array<ArrayBuffer> {
  // Its slabs are plain ones, never shared memory.
  const bytes = encoder.encode(value) as Uint8Array<ArrayBuffer>;
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Decodes one data item that fills `bytes`. Maps become plain objects; byte strings become `Uint8Array` **views**
 * into `bytes` on every runtime: who keeps one copies it, or keeps all of `bytes`.
 *
 * @throws {MalformedBytes} saying what is wrong, and where.
 */
export function decodeCbor(bytes: Uint8Array, limits: CborLimits): unknown {
  wellFormed(bytes, limits);
  // A view of its own: cbor-x leaves a property on its source, and a Buffer would give Buffers.
  return decoder.decode(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

/** Major types, the upper three bits of an item's first byte (RFC 8949, section 3.1). */
const major = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6 } as const;

/**
 * Checks that `bytes` are one data item of the kind that this file's head describes, in one pass that neither
 * recurses nor allocates by what lengths claim.
 *
 * @throws {MalformedBytes} saying what is wrong, and where.
 */
export function wellFormed(bytes: Uint8Array, limits: CborLimits): void {
  const end = bytes.length;
  if (end > limits.totalBytesMax) {
    throw new MalformedBytes(`${end} bytes, the limit is ${limits.totalBytesMax}`, 0);
  }
  // Items still to come: on the innermost open level, on the levels around it, and in all.
  let left = 1;
  let inMap = false;
  const outer: number[] = [];
  const outerInMap: boolean[] = [];
  let pending = 1;
  let items = 1;
  let at = 0;
  while (true) {
    if (at >= end) throw new MalformedBytes("the bytes end too soon", at);
    const start = at;
    const initial = bytes[at++]!;
    const type = initial >> 5;
    // The keys of a map are at its even places, counted from its end.
    if (inMap && (left & 1) === 0 && type !== major.text) {
      throw new MalformedBytes("a key that is not a text string", start);
    }
    left--;
    pending--;
    if (type > major.map) {
      at = simpleEnd(initial, bytes, start);
    } else {
      const info = initial & 31;
      let argument = info;
      if (info > 23) {
        argument = longArgument(bytes, at, info);
        at += 1 << (info - 24);
      }
      if (type === major.bytes || type === major.text) {
        if (argument > end - at) throw new MalformedBytes("a string longer than the bytes", start);
        checkString(type, argument, limits, start);
        if (type === major.text) checkText(bytes, at, argument, inMap && (left & 1) === 1);
        at += argument;
      } else if (type === major.array || type === major.map) {
        const count = type === major.map ? argument * 2 : argument;
        pending += count;
        items += count;
        // Each item takes a byte at least, so headers can't promise more than there is.
        if (pending > end - at) throw new MalformedBytes("more items than bytes", start);
        if (items > limits.itemsMax) {
          throw new MalformedBytes(`over ${limits.itemsMax} items`, start);
        }
        if (outer.length >= limits.depthMax) {
          throw new MalformedBytes(`nested deeper than ${limits.depthMax}`, start);
        }
        outer.push(left);
        outerInMap.push(inMap);
        left = count;
        inMap = type === major.map;
      } else if (info === 27) {
        checkLongInteger(type, argument, start);
      }
    }
    while (left === 0) {
      const next = outer.pop();
      if (next === undefined) {
        if (at === end) return;
        throw new MalformedBytes("bytes after the end", at);
      }
      left = next;
      inMap = outerInMap.pop()!;
    }
  }
}

/** The argument in the bytes behind the first one; may be inexact beyond 2^53, where every use of it is refused. */
function longArgument(bytes: Uint8Array, at: number, info: number): number {
  if (info > 27) {
    const what = info === 31 ? "an indefinite length" : "a reserved encoding";
    throw new MalformedBytes(what, at - 1);
  }
  const width = 1 << (info - 24);
  if (width > bytes.length - at) throw new MalformedBytes("the bytes end too soon", bytes.length);
  let argument = 0;
  for (let i = at; i < at + width; i++) argument = argument * 256 + bytes[i]!;
  return argument;
}

/** Where a float or simple value ends. */
function simpleEnd(initial: number, bytes: Uint8Array, start: number): number {
  if (initial >> 5 === major.tag) throw new MalformedBytes("a tag", start);
  const info = initial & 31;
  if (info >= 20 && info <= 23) return start + 1;
  if (info < 25 || info > 27) throw new MalformedBytes("an unassigned simple value", start);
  const end = start + 1 + (1 << (info - 24));
  if (end > bytes.length) throw new MalformedBytes("the bytes end too soon", bytes.length);
  return end;
}

/** cbor-x loses the upper bits of a negative integer of eight bytes, and numbers are exact up to 2^53 only. */
function checkLongInteger(type: number, argument: number, start: number): void {
  if (type === major.negative || argument > Number.MAX_SAFE_INTEGER) {
    throw new MalformedBytes("an integer out of range", start);
  }
}

function checkString(type: number, length: number, limits: CborLimits, start: number): void {
  const max = type === major.text ? limits.textBytesMax : limits.byteStringBytesMax;
  if (length > max) throw new MalformedBytes(`a string of ${length} bytes, over ${max}`, start);
}

const prototypeKey = new TextEncoder().encode("__proto__");

function checkText(bytes: Uint8Array, at: number, length: number, isKey: boolean): void {
  if (
    isKey && length === prototypeKey.length && prototypeKey.every((b, i) => bytes[at + i] === b)
  ) {
    throw new MalformedBytes("the key __proto__", at);
  }
  const end = at + length;
  let i = at;
  while (i < end && bytes[i]! < 0x80) i++;
  if (i === end) return;
  if (length >= 3 && bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf) {
    throw new MalformedBytes("a byte order mark", at);
  }
  while (i < end) {
    const next = characterEnd(bytes, i, end);
    if (next === i) throw new MalformedBytes("invalid UTF-8", i);
    i = next;
  }
}

/** Where the character at `i` ends, or `i` where there is none (table 3-7 of the Unicode standard). */
function characterEnd(bytes: Uint8Array, i: number, end: number): number {
  const first = bytes[i]!;
  if (first < 0x80) return i + 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || length > end - i) return i;
  // The second byte's range keeps out overlong forms, surrogates and what is beyond U+10FFFF.
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  const second = bytes[i + 1]!;
  if (second < low || second > high) return i;
  for (let k = i + 2; k < i + length; k++) if ((bytes[k]! & 0xc0) !== 0x80) return i;
  return i + length;
}
