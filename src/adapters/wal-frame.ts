/**
 * The WAL's format.
 *
 * A WAL is a row of segment files `wal-<id, 16 hex digits>.log`. **A frame is what one sync made durable**: all writes
 * that waited while a sync ran go together into one frame, and the next frame is written only after the sync of the
 * one before returned. So a frame is atomic, however many writes and entries it holds; and a later frame, even its
 * header alone, proves that the one before it had been synced whole. That is how recovery tells a torn tail (the last
 * frame, which nobody was promised) from corruption, which separately written records cannot show.
 *
 * All integers are little endian; crc32(x, seed) continues a CRC-32 from `seed`.
 *
 * ```
 * segment     = header | frame* | rest            rest: zeros, or what a recycled file held before
 * header      = "HOLDWAL1" | crc u32 | segmentBytes u32 | id u64 | sequence u64 | point | hardState | zeros to 512
 * point       = index u64 | term u64 | crc u32    a place in the chain of log records
 * hardState   = term u64 | commit u64 | voteBytes u8 | vote
 *
 * frame       = "HFrm" | headerCrc u32 | sequence u64 | bodyBytes u32 | bodyCrc u32 | body | zeros to a multiple of 8
 * body        = write+
 * write       = parts u8 | hardState (parts & 1) | reset point (parts & 2) | keep point (parts & 4)
 *             | recordBytes u32 | record*         records: see log-record.ts
 * ```
 *
 * A segment is valid if and only if its header is (magic; crc = crc32 of the 500 bytes behind it; `id` is the file
 * name's; `segmentBytes` is the file's length), its id is one more than that of the segment before, and sequence,
 * point and hard state are what the segments before it end with. The oldest segment's stand for all that was removed.
 *
 * A frame at a multiple of 8 behind header or frame is valid if and only if headerCrc = crc32(sequence…bodyCrc, the
 * segment header's crc), which voids what a recycled file held before; its sequence is the next one; the body lies
 * inside the file; and bodyCrc = crc32(body). A valid frame whose writes do not follow the log is corruption.
 *
 * `reset` empties the log and starts it behind that point. `keep` is the last entry that stays when a later entry
 * replaces a suffix; where the segments with that entry are gone already, the log starts behind it.
 *
 * A frame's first write has the hard state and one of the points, also where they say nothing new. So whoever finds a
 * frame behind one that is lost knows what was promised and where the log stood: see `wal-survey.ts`.
 */
import { crc32 } from "node:zlib";
import { invariant } from "../assert.ts";
import { MalformedBytes } from "../errors.ts";
import type { WalWrite } from "../ports.ts";
import type { HardState } from "../raft/types.ts";
import {
  type ChainPoint,
  decodeRecords,
  readU32,
  readU64,
  writeU32,
  writeU64,
} from "./log-record.ts";
import type { CutWrite, WalLog } from "./wal-log.ts";

/** Bytes of a segment's header; its frames begin behind it. */
export const SEGMENT_HEADER_BYTES = 512;
/** Bytes of a frame before its body. */
export const FRAME_HEADER_BYTES = 24;
/** A longer segment file is refused before anything of it is read. */
export const SEGMENT_BYTES_MAX: number = 256 * 1024 * 1024;

const FRAME_ALIGNMENT = 8;
const SEGMENT_MAGIC = new TextEncoder().encode("HOLDWAL1");
const FRAME_MAGIC = readU32(new TextEncoder().encode("HFrm"), 0);
const POINT_BYTES = 20;
const HARD_STATE_BYTES_MIN = 17;
const PART = { hardState: 1, reset: 2, keep: 4 };
const NODE_ID = /^[A-Za-z0-9._-]{1,64}$/;

export interface SegmentHeader {
  readonly segmentBytes: number;
  readonly id: number;
  /** Of the first frame in it. */
  readonly sequence: number;
  /** The log's end before the first frame. */
  readonly last: ChainPoint;
  readonly hardState: HardState;
}

/** Encodes a segment's header. Its `crc` salts the segment's frames. */
export function encodeSegmentHeader(header: SegmentHeader): { bytes: Uint8Array; salt: number } {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  bytes.set(SEGMENT_MAGIC);
  writeU32(bytes, 12, header.segmentBytes);
  writeU64(bytes, 16, header.id);
  writeU64(bytes, 24, header.sequence);
  writeHardState(bytes, writePoint(bytes, 32, header.last), header.hardState);
  const salt = crc32(bytes.subarray(12));
  writeU32(bytes, 8, salt);
  return { bytes, salt };
}

/** @throws {MalformedBytes} */
export function decodeSegmentHeader(file: Uint8Array): { header: SegmentHeader; salt: number } {
  const bytes = file.subarray(0, SEGMENT_HEADER_BYTES);
  if (bytes.length < SEGMENT_HEADER_BYTES) throw new MalformedBytes("the header is cut off", 0);
  if (SEGMENT_MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw new MalformedBytes("this is no WAL segment, or one of another version", 0);
  }
  const salt = readU32(bytes, 8);
  if (salt !== crc32(bytes.subarray(12))) {
    throw new MalformedBytes("the header's checksum does not match", 8);
  }
  const cursor = new Cursor(bytes, 12);
  const segmentBytes = cursor.u32();
  const id = cursor.integer();
  const sequence = cursor.integer();
  const last = cursor.point();
  const hardState = cursor.hardState();
  return { header: { segmentBytes, id, sequence, last, hardState }, salt };
}

/** Bytes that a write takes in a frame's body. */
export function writeBytes(write: {
  readonly hardState: HardState | null;
  readonly reset: object | null;
  readonly truncateFrom: number | null;
  readonly entries: CutWrite["entries"];
}): number {
  let bytes = 1 + 4;
  if (write.hardState !== null) bytes += HARD_STATE_BYTES_MIN + (write.hardState.vote ?? "").length;
  if (write.reset !== null) bytes += POINT_BYTES;
  if (write.truncateFrom !== null) bytes += POINT_BYTES;
  for (const entry of write.entries) bytes += entry.record.length;
  return bytes;
}

/** What the first write of a frame says whatever it is for: the write, with that added, and the bytes that this takes. */
export function anchored(
  write: WalWrite,
  log: Pick<WalLog, "hardState" | "last">,
): { readonly write: WalWrite; readonly bytes: number } {
  const hardState = write.hardState ?? log.hardState;
  const truncateFrom = write.reset === null && write.truncateFrom === null
    ? log.last.index + 1
    : write.truncateFrom;
  const whole = { ...write, hardState, truncateFrom };
  return { write: whole, bytes: writeBytes(whole) };
}

/** Bytes of a frame with a body of `bodyBytes`, padding included. */
export function frameBytes(bodyBytes: number): number {
  const bytes = FRAME_HEADER_BYTES + bodyBytes;
  return bytes + (FRAME_ALIGNMENT - bytes % FRAME_ALIGNMENT) % FRAME_ALIGNMENT;
}

/** Writes one write into a frame's body and returns the offset behind it. */
export function encodeWrite(bytes: Uint8Array, offset: number, write: CutWrite): number {
  const { hardState, reset, keep, entries } = write;
  bytes[offset++] = (hardState === null ? 0 : PART.hardState) | (reset === null ? 0 : PART.reset) |
    (keep === null ? 0 : PART.keep);
  if (hardState !== null) offset = writeHardState(bytes, offset, hardState);
  if (reset !== null) offset = writePoint(bytes, offset, reset);
  if (keep !== null) offset = writePoint(bytes, offset, keep);
  const recordsAt = offset + 4;
  offset = recordsAt;
  for (const { record } of entries) {
    bytes.set(record, offset);
    offset += record.length;
  }
  writeU32(bytes, recordsAt - 4, offset - recordsAt);
  return offset;
}

/** Completes a frame whose body is in place in `bytes`, which begins with the frame and ends with its padding. */
export function sealFrame(
  bytes: Uint8Array,
  frame: { readonly sequence: number; readonly bodyBytes: number; readonly salt: number },
): void {
  const end = FRAME_HEADER_BYTES + frame.bodyBytes;
  bytes.fill(0, end);
  writeU32(bytes, 0, FRAME_MAGIC);
  writeU64(bytes, 8, frame.sequence);
  writeU32(bytes, 16, frame.bodyBytes);
  writeU32(bytes, 20, crc32(bytes.subarray(FRAME_HEADER_BYTES, end)));
  writeU32(bytes, 4, crc32(bytes.subarray(8, FRAME_HEADER_BYTES), frame.salt));
}

/** See {@link readAnchor}. */
export interface FrameAnchor {
  readonly hardState: HardState;
  readonly point: ChainPoint;
  /** The log was emptied to start behind `point`; else its entries up to there stay. */
  readonly resets: boolean;
}

export interface FrameHeader {
  readonly sequence: number;
  readonly bodyBytes: number;
  readonly bodyCrc: number;
}

/** The frame header at `offset`, or null where there is no valid one of this segment. */
export function readFrameHeader(
  segment: Uint8Array,
  offset: number,
  salt: number,
): FrameHeader | null {
  if (offset + FRAME_HEADER_BYTES > segment.length) return null;
  if (readU32(segment, offset) !== FRAME_MAGIC) return null;
  const covered = segment.subarray(offset + 8, offset + FRAME_HEADER_BYTES);
  if (readU32(segment, offset + 4) !== crc32(covered, salt)) return null;
  const sequence = readU64(covered, 0);
  return { sequence, bodyBytes: readU32(covered, 8), bodyCrc: readU32(covered, 12) };
}

/** The first offset, at or behind `from`, of a valid frame header of this segment; -1 where there is none. */
export function findFrameHeader(segment: Uint8Array, from: number, salt: number): number {
  const first = FRAME_MAGIC & 0xff;
  const aligned = from + (FRAME_ALIGNMENT - from % FRAME_ALIGNMENT) % FRAME_ALIGNMENT;
  for (let offset = aligned; offset < segment.length; offset += FRAME_ALIGNMENT) {
    if (segment[offset] === first && readFrameHeader(segment, offset, salt) !== null) return offset;
  }
  return -1;
}

/** What was promised before a frame, and where the log stood; null in a frame that doesn't say. @throws {MalformedBytes} */
export function readAnchor(body: Uint8Array): FrameAnchor | null {
  const { hardState, reset, keep } = readBegin(new Cursor(body, 0));
  const point = reset ?? keep;
  return hardState === null || point === null ? null : { hardState, point, resets: reset !== null };
}

/**
 * Applies a frame's writes to the log. The entries are views into `body`. Returns the lowest that `WalLog.begin` did.
 * @throws {MalformedBytes} at the offset in the body
 * @throws {InvariantViolation} where a write does not follow the log.
 */
export function replayFrame(body: Uint8Array, log: WalLog): number {
  let kept = Infinity;
  const cursor = new Cursor(body, 0);
  while (cursor.left > 0) {
    kept = Math.min(kept, log.begin(readBegin(cursor)));
    const length = cursor.u32();
    const recordsAt = cursor.offset;
    const { index, term, crc } = log.last;
    const position = { previousIndex: index, previousTerm: term, previousCrc: crc };
    const limits = { payloadBytesMax: length, entriesMax: length };
    try {
      log.append(decodeRecords(cursor.bytes(length), position, limits));
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      throw new MalformedBytes(error.message, recordsAt + error.offset);
    }
  }
  return kept;
}

function readBegin(cursor: Cursor): Omit<CutWrite, "entries"> {
  const parts = cursor.u8();
  if (parts > 7) throw new MalformedBytes(`a write with parts ${parts}`, cursor.offset - 1);
  return {
    hardState: (parts & PART.hardState) === 0 ? null : cursor.hardState(),
    reset: (parts & PART.reset) === 0 ? null : cursor.point(),
    keep: (parts & PART.keep) === 0 ? null : cursor.point(),
  };
}

function writePoint(bytes: Uint8Array, offset: number, point: ChainPoint): number {
  writeU64(bytes, offset, point.index);
  writeU64(bytes, offset + 8, point.term);
  writeU32(bytes, offset + 16, point.crc);
  return offset + POINT_BYTES;
}

function writeHardState(bytes: Uint8Array, offset: number, state: HardState): number {
  writeU64(bytes, offset, state.term);
  writeU64(bytes, offset + 8, state.commit);
  const vote = state.vote ?? "";
  invariant(state.vote === null || NODE_ID.test(vote), `${vote} is no node id`);
  bytes[offset + 16] = vote.length;
  for (let i = 0; i < vote.length; i++) {
    bytes[offset + HARD_STATE_BYTES_MIN + i] = vote.charCodeAt(i);
  }
  return offset + HARD_STATE_BYTES_MIN + vote.length;
}

/** Reads forward, and never beyond the end. */
class Cursor {
  readonly #bytes: Uint8Array;
  offset: number;

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes;
    this.offset = offset;
  }

  get left(): number {
    return this.#bytes.length - this.offset;
  }

  bytes(length: number): Uint8Array {
    if (length > this.left) {
      throw new MalformedBytes(`${length} bytes, ${this.left} left`, this.offset);
    }
    this.offset += length;
    return this.#bytes.subarray(this.offset - length, this.offset);
  }

  u8(): number {
    return this.bytes(1)[0] ?? 0;
  }

  u32(): number {
    return readU32(this.bytes(4), 0);
  }

  integer(): number {
    const value = readU64(this.bytes(8), 0);
    if (!Number.isSafeInteger(value)) {
      throw new MalformedBytes("a number beyond 2^53", this.offset - 8);
    }
    return value;
  }

  point(): ChainPoint {
    return { index: this.integer(), term: this.integer(), crc: this.u32() };
  }

  hardState(): HardState {
    const term = this.integer();
    const commit = this.integer();
    const length = this.u8();
    const vote = String.fromCharCode(...this.bytes(length));
    if (length > 0 && !NODE_ID.test(vote)) {
      throw new MalformedBytes("a vote for no node", this.offset);
    }
    return { term, vote: length === 0 ? null : vote, commit };
  }
}
