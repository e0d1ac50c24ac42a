/**
 * The log record: an entry's one and only encoding. The leader seals it; the same bytes then go over the wire, onto
 * every disk and into every replica's log.
 *
 * All integers are little endian.
 *
 * ```
 * record  = length u32 | crc u32 | index u64 | term u64 | kind u8 | payload
 * length  = bytes of the whole record, these four included: 25 + bytes of payload
 * kind    = 0 empty | 1 command | 2 configuration
 * crc     = CRC-32 over index…payload, continued from (previous entry's crc XOR length); before the log it is 0
 * ```
 *
 * A record behind an entry (index p, term t, CRC c) is valid if and only if
 * - 25 ≤ length ≤ the bytes that are left, and length - 25 is within the limit on payloads;
 * - crc is as above, continued from c;
 * - index = p + 1 ≤ 2^53 - 1, and t ≤ term ≤ 2^53 - 1;
 * - kind is one of the three.
 *
 * The CRC runs on from entry to entry, so a log is a chain: the same index, term and CRC mean the same history on any
 * two replicas. The length is mixed into the seed, so that no two ways of cutting the same bytes into records agree.
 */
import { crc32 } from "node:zlib";
import { invariant } from "../assert.ts";
import { MalformedBytes } from "../errors.ts";
import type { Entry, EntryDraft, EntryKind, Index, SealEntry, Term } from "../raft/types.ts";

/** Bytes of a record before its payload. */
export const RECORD_HEADER_BYTES = 25;

const KINDS: readonly EntryKind[] = ["empty", "command", "configuration"];
const CRC_FROM = 8;
const HIGH_WORD = 0x1_0000_0000;

/** Records up to this size share a slab: a typed array of its own costs about a microsecond on two of the runtimes. */
const SLAB_RECORD_BYTES_MAX = 4096;
const SLAB_BYTES = 64 * 1024;
let slab = new Uint8Array(0);
let slabUsed = 0;

/** A place in the chain: an entry's index, term and CRC, or all 0 before the log. */
export interface ChainPoint {
  readonly index: Index;
  readonly term: Term;
  readonly crc: number;
}

/** What the decoded bytes must follow. Without `previousTerm` the first record may be of any term. */
export interface RecordPosition {
  readonly previousIndex: Index;
  readonly previousTerm?: Term;
  readonly previousCrc: number;
}

/** Bounds on what is decoded. */
export interface RecordLimits {
  /** Payload bytes of one entry. */
  readonly payloadBytesMax: number;
  /** Entries in one run of records. */
  readonly entriesMax: number;
}

/** Seals a draft into its log record. See {@link SealEntry}. */
export const sealEntry: SealEntry = (draft: EntryDraft, previousCrc: number): Entry => {
  const { index, term, kind, payload } = draft;
  if (!(index > 0 && Number.isSafeInteger(index) && term >= 0 && Number.isSafeInteger(term))) {
    invariant(false, `index ${index} of term ${term} cannot be sealed`);
  }
  const length = RECORD_HEADER_BYTES + payload.length;
  const record = allocate(length);
  writeU32(record, 0, length);
  writeU64(record, 8, index);
  writeU64(record, 16, term);
  record[24] = KINDS.indexOf(kind);
  record.set(payload, RECORD_HEADER_BYTES);
  const crc = chainCrc(record, previousCrc);
  writeU32(record, 4, crc);
  return { index, term, kind, payload: record.subarray(RECORD_HEADER_BYTES), crc, record };
};

/**
 * Decodes a run of records that fills `bytes` and verifies it against the grammar above. The entries are views into
 * `bytes`: whoever keeps them for long decides whether to copy.
 *
 * @throws {MalformedBytes} at the first record that is not valid.
 */
export function decodeRecords(
  bytes: Uint8Array,
  position: RecordPosition,
  limits: RecordLimits,
): Entry[] {
  const entries: Entry[] = [];
  let index = position.previousIndex;
  let term = position.previousTerm ?? 0;
  let crc = position.previousCrc;
  for (let offset = 0; offset < bytes.length;) {
    if (entries.length === limits.entriesMax) {
      throw new MalformedBytes(`more than ${limits.entriesMax} log records`, offset);
    }
    const entry = decodeRecord(bytes, offset, crc, limits.payloadBytesMax);
    if (entry.index !== index + 1) {
      throw new MalformedBytes(`log record ${entry.index} follows ${index}`, offset);
    }
    if (entry.term < term) {
      throw new MalformedBytes(`a log record of term ${entry.term} follows term ${term}`, offset);
    }
    entries.push(entry);
    ({ index, term, crc } = entry);
    offset += entry.record.length;
  }
  return entries;
}

function decodeRecord(
  bytes: Uint8Array,
  offset: number,
  previousCrc: number,
  payloadBytesMax: number,
): Entry {
  const left = bytes.length - offset;
  if (left < RECORD_HEADER_BYTES) throw new MalformedBytes("a log record is cut off", offset);
  const length = readU32(bytes, offset);
  if (length < RECORD_HEADER_BYTES || length > left) {
    throw new MalformedBytes(`a log record of ${length} bytes where ${left} are left`, offset);
  }
  if (length - RECORD_HEADER_BYTES > payloadBytesMax) {
    throw new MalformedBytes(`a log record of ${length} bytes is over the limit`, offset);
  }
  const record = bytes.subarray(offset, offset + length);
  const crc = readU32(record, 4);
  if (crc !== chainCrc(record, previousCrc)) {
    throw new MalformedBytes("a log record's checksum does not match", offset);
  }
  const index = readU64(record, 8);
  const term = readU64(record, 16);
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(term)) {
    throw new MalformedBytes("a log record's index or term is beyond 2^53 - 1", offset);
  }
  const kind = KINDS[record[24] ?? KINDS.length];
  if (kind === undefined) throw new MalformedBytes("a log record of unknown kind", offset);
  return { index, term, kind, payload: record.subarray(RECORD_HEADER_BYTES), crc, record };
}

function chainCrc(record: Uint8Array, previousCrc: number): number {
  return crc32(record.subarray(CRC_FROM), (previousCrc ^ record.length) >>> 0);
}

function allocate(length: number): Uint8Array {
  if (length > SLAB_RECORD_BYTES_MAX) return new Uint8Array(length);
  if (slabUsed + length > slab.length) {
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  const record = slab.subarray(slabUsed, slabUsed + length);
  slabUsed += length;
  return record;
}

/** Writes an unsigned 32-bit integer, little endian. */
export function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
  bytes[offset + 3] = value >>> 24;
}

/** Writes an integer of 0 to 2^53 - 1 as an unsigned 64-bit one, little endian. */
export function writeU64(bytes: Uint8Array, offset: number, value: number): void {
  writeU32(bytes, offset, value % HIGH_WORD);
  writeU32(bytes, offset + 4, Math.floor(value / HIGH_WORD));
}

/** Reads an unsigned 32-bit integer, little endian. The caller has checked that it is there. */
export function readU32(bytes: Uint8Array, offset: number): number {
  const a = bytes[offset] ?? 0;
  const b = bytes[offset + 1] ?? 0;
  const c = bytes[offset + 2] ?? 0;
  const d = bytes[offset + 3] ?? 0;
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}

/** Reads an unsigned 64-bit integer, little endian; inexact beyond 2^53, which `Number.isSafeInteger` tells. */
export function readU64(bytes: Uint8Array, offset: number): number {
  return readU32(bytes, offset) + readU32(bytes, offset + 4) * HIGH_WORD;
}
