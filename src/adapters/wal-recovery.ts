/**
 * Reads a WAL back, tells a torn tail from corruption, and changes nothing that it refuses.
 *
 * Recovery accepts the longest run of valid frames. What follows it in the last segment was never promised, if no
 * valid frame header of that segment stands behind it (see `wal-frame.ts` for why that proves it); anything else that
 * is not valid, is missing or stands in the wrong place is {@link CorruptData}. One loss no reader can see: the very
 * last frame, if it decayed after its sync, looks like one that was torn.
 */
import { crc32 } from "node:zlib";
import { InvariantViolation } from "../assert.ts";
import { CorruptData, DiskFailure, MalformedBytes } from "../errors.ts";
import type { FileSystem } from "../ports.ts";
import type { HardState } from "../raft/types.ts";
import {
  decodeSegmentHeader,
  findFrameHeader,
  FRAME_HEADER_BYTES,
  frameBytes,
  readFrameHeader,
  replayFrame,
  SEGMENT_BYTES_MAX,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from "./wal-frame.ts";
import { samePoint, WalLog } from "./wal-log.ts";

/** What segment files are called. */
export const SEGMENT_NAME: RegExp = /^wal-([0-9a-f]{16})\.log$/;
/** What an operator may do about a file that the node can't mend. */
export const CORRUPTION_ADVICE: string =
  "nothing was changed; restore the file from a copy, or bring another " +
  "member in this one's place: member replace <this id> --with <new id>=<its URL>";

/** The file name of a segment. */
export function segmentName(id: number): string {
  return `wal-${id.toString(16).padStart(16, "0")}.log`;
}

/** A segment file. */
export interface Segment {
  readonly id: number;
  readonly path: string;
  readonly bytes: number;
  /** No entry beyond this index that is not void stands in it or in a segment before it. */
  lastIndex: number;
}

/** A WAL as it was found. The last segment is the one to go on writing. */
export interface Recovery {
  readonly log: WalLog;
  readonly segments: readonly Segment[];
  /** Of the next frame. */
  readonly sequence: number;
  /** Where the next frame goes in the last segment. */
  readonly offset: number;
  /** Of the last segment. */
  readonly salt: number;
  /** The last frame of the last segment, which may have been read from the system's cache only. */
  readonly lastFrame: { readonly offset: number; readonly bytes: Uint8Array } | null;
}

/**
 * Reads the WAL in `directory`; null where there is none.
 * @throws {CorruptData} what only an operator may decide about
 * @throws {DiskFailure} what could not be read.
 */
export async function recoverWal(fs: FileSystem, directory: string): Promise<Recovery | null> {
  const names = (await fs.list(directory)).filter((name) => SEGMENT_NAME.test(name));
  let state: Recovery | null = null;
  for (const name of names) {
    const path = `${directory}/${name}`;
    const file = await readSegment(fs, path);
    const { header, salt } = openHeader(path, name, file);
    checkFollows(path, header, state);
    const previous: readonly Segment[] = state?.segments ?? [];
    const log: WalLog = state?.log ?? new WalLog(header.hardState, header.last);
    const frames = replaySegment(path, file, { log, salt, sequence: header.sequence });
    const last = name === names.at(-1);
    if (last) checkTail(path, file, { ...frames, salt });
    const segment = { id: header.id, path, bytes: file.length, lastIndex: log.last.index };
    for (const each of previous) each.lastIndex = Math.min(each.lastIndex, frames.kept);
    state = { log, segments: [...previous, segment], salt, ...frames };
  }
  return state;
}

/** A segment's bytes. @throws {CorruptData} where it is too large to be one. @throws {DiskFailure} */
export async function readSegment(fs: FileSystem, path: string): Promise<Uint8Array> {
  try {
    const file = await fs.open(path, "read");
    try {
      const size = await file.size();
      if (size > SEGMENT_BYTES_MAX) {
        throw corrupt(path, 0, `${size} bytes are too many for a segment`);
      }
      return await file.read(0, size);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CorruptData) throw error;
    throw new DiskFailure(`${path} could not be read: ${String(error)}`, { cause: error });
  }
}

/** Its header, checked. A segment gets its name only when its header is synced, so a bad one is never torn. @throws {CorruptData} */
export function openHeader(
  path: string,
  name: string,
  file: Uint8Array,
): { header: SegmentHeader; salt: number } {
  try {
    const { header, salt } = decodeSegmentHeader(file);
    if (segmentName(header.id) !== name) {
      throw new MalformedBytes(`this is segment ${segmentName(header.id)} under another name`, 16);
    }
    if (header.segmentBytes !== file.length) {
      throw new MalformedBytes(
        `${header.segmentBytes} bytes were made, ${file.length} are here`,
        12,
      );
    }
    return { header, salt };
  } catch (error) {
    if (!(error instanceof MalformedBytes)) throw error;
    throw corrupt(path, error.offset, error.message);
  }
}

function checkFollows(path: string, header: SegmentHeader, before: Recovery | null): void {
  const previous = before?.segments.at(-1);
  if (before === null || previous === undefined) return;
  if (header.id !== previous.id + 1) {
    throw corrupt(path, 0, `the segment before it, ${segmentName(header.id - 1)}, is missing`);
  }
  if (header.sequence !== before.sequence) {
    throw corrupt(
      previous.path,
      before.offset,
      `frame ${before.sequence} is damaged, though it was synced: the next segment begins with ${header.sequence}`,
    );
  }
  const { log } = before;
  if (!samePoint(header.last, log.last) || !sameHardState(header.hardState, log.hardState)) {
    throw corrupt(path, 0, "this segment does not follow the one before it");
  }
}

type Frames = Pick<Recovery, "sequence" | "offset" | "lastFrame"> & {
  /** The lowest index behind which one of the frames voided everything. */
  readonly kept: number;
};

/** Replays frames up to the first that is not valid. */
function replaySegment(
  path: string,
  file: Uint8Array,
  begin: { readonly log: WalLog; readonly salt: number; readonly sequence: number },
): Frames {
  const { log, salt } = begin;
  let sequence = begin.sequence;
  let offset = SEGMENT_HEADER_BYTES;
  let kept = Infinity;
  let lastFrame: Recovery["lastFrame"] = null;
  for (;;) {
    const header = readFrameHeader(file, offset, salt);
    if (header === null || header.sequence !== sequence) break;
    const bodyAt = offset + FRAME_HEADER_BYTES;
    if (bodyAt + header.bodyBytes > file.length) {
      throw corrupt(path, offset, `frame ${sequence} would end beyond the file`);
    }
    // A copy, so that one entry that is kept does not keep the whole segment in memory.
    const bytes = file.slice(offset, offset + frameBytes(header.bodyBytes));
    const body = bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + header.bodyBytes);
    if (crc32(body) !== header.bodyCrc) break;
    try {
      kept = Math.min(kept, replayFrame(body, log));
    } catch (error) {
      if (error instanceof MalformedBytes) {
        throw corrupt(path, bodyAt + error.offset, error.message);
      }
      // The frame is whole, and says what no log can have: a program wrote it, or somebody moved it here.
      if (error instanceof InvariantViolation) throw corrupt(path, offset, error.message);
      throw error;
    }
    lastFrame = { offset, bytes };
    offset += bytes.length;
    sequence++;
  }
  return { sequence, offset, lastFrame, kept };
}

/** @throws {CorruptData} where a valid frame header stands behind the first bad frame of the last segment. */
function checkTail(
  path: string,
  file: Uint8Array,
  end: { readonly sequence: number; readonly offset: number; readonly salt: number },
): void {
  const header = readFrameHeader(file, end.offset, end.salt);
  const torn = header?.sequence === end.sequence;
  const from = torn ? end.offset + frameBytes(header.bodyBytes) : end.offset;
  const found = findFrameHeader(file, from, end.salt);
  if (found < 0) return;
  throw corrupt(
    path,
    end.offset,
    `frame ${end.sequence} is damaged, though it was synced: a later one stands at ${found}`,
  );
}

/** Whether two say the same. */
export function sameHardState(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.commit === b.commit;
}

/** An error that says where, what, and what to do. */
export function corrupt(path: string, offset: number, what: string): CorruptData {
  return new CorruptData(path, offset, `${what}; ${CORRUPTION_ADVICE}`);
}
