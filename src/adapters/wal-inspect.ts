/**
 * Shows what stands in the files of a WAL, frame by frame, as it was written: also what was replaced later. Changes
 * nothing. Whether it is one log, and where that is damaged, `wal-recovery.ts` decides; this one goes as far as the
 * frames of each segment are sound.
 */
import { crc32 } from "node:zlib";
import { InvariantViolation } from "../assert.ts";
import { CorruptData, MalformedBytes } from "../errors.ts";
import type { FileSystem } from "../ports.ts";
import type { Entry, HardState } from "../raft/types.ts";
import type { ChainPoint } from "./log-record.ts";
import {
  FRAME_HEADER_BYTES,
  frameBytes,
  readFrameHeader,
  replayFrame,
  SEGMENT_HEADER_BYTES,
} from "./wal-frame.ts";
import { WalLog } from "./wal-log.ts";
import { openHeader, readSegment, recoverWal, SEGMENT_NAME } from "./wal-recovery.ts";

/** A segment file, as far as it can be read. */
export interface InspectedSegment {
  readonly name: string;
  readonly bytes: number;
  /** What it says of the log before it; null where its header is damaged. */
  readonly begins: { readonly last: ChainPoint; readonly hardState: HardState } | null;
  readonly frames: readonly InspectedFrame[];
  /** Where the first frame that is not sound would begin: a torn one, damage, or nothing. */
  readonly end: number;
}

/** What one sync made durable. */
export interface InspectedFrame {
  readonly sequence: number;
  /** In the file. */
  readonly offset: number;
  readonly bytes: number;
  readonly hardState: HardState;
  /** The log was cut to end at this index before the entries came; null where it wasn't. */
  readonly cutTo: number | null;
  readonly entries: readonly Entry[];
}

/** The names of a WAL's segments, oldest first. */
export async function segmentNames(fs: FileSystem, directory: string): Promise<readonly string[]> {
  return (await fs.list(directory)).filter((name) => SEGMENT_NAME.test(name));
}

/** Reads a segment. @throws {DiskFailure} */
export async function inspectSegment(
  fs: FileSystem,
  directory: string,
  name: string,
): Promise<InspectedSegment> {
  const path = `${directory}/${name}`;
  const file = await readSegment(fs, path);
  const opened = headerOf(path, name, file);
  if (opened === null) return { name, bytes: file.length, begins: null, frames: [], end: 0 };
  const { header, salt } = opened;
  const frames: InspectedFrame[] = [];
  let { last, hardState, sequence } = header;
  let offset = SEGMENT_HEADER_BYTES;
  for (;;) {
    const frame = readFrameHeader(file, offset, salt);
    if (frame?.sequence !== sequence) break;
    const bodyAt = offset + FRAME_HEADER_BYTES;
    const body = file.slice(bodyAt, bodyAt + frame.bodyBytes);
    if (body.length < frame.bodyBytes || crc32(body) !== frame.bodyCrc) break;
    const log = replayed(body, new WalLog(hardState, last));
    if (log === null) break;
    const { entries, logStart } = log.recovered();
    const bytes = frameBytes(frame.bodyBytes);
    const cutTo = logStart.index < last.index ? logStart.index : null;
    ({ last, hardState } = log);
    frames.push({ sequence, offset, bytes, hardState, cutTo, entries });
    offset += bytes;
    sequence++;
  }
  const { last: before, hardState: promised } = header;
  const begins = { last: before, hardState: promised };
  return { name, bytes: file.length, begins, frames, end: offset };
}

/** What a recovery says of it: the log as it stands, or the first damage. @throws {DiskFailure} */
export async function judgeWal(
  fs: FileSystem,
  directory: string,
): Promise<{ readonly log: WalLog | null; readonly damage: CorruptData | null }> {
  try {
    return { log: (await recoverWal(fs, directory))?.log ?? null, damage: null };
  } catch (error) {
    if (error instanceof CorruptData) return { log: null, damage: error };
    throw error;
  }
}

function headerOf(
  path: string,
  name: string,
  file: Uint8Array,
): ReturnType<typeof openHeader> | null {
  try {
    return openHeader(path, name, file);
  } catch (error) {
    if (error instanceof CorruptData) return null;
    throw error;
  }
}

/** Null where the frame says what no log can have. */
function replayed(body: Uint8Array, log: WalLog): WalLog | null {
  try {
    replayFrame(body, log);
    return log;
  } catch (error) {
    if (error instanceof MalformedBytes || error instanceof InvariantViolation) return null;
    throw error;
  }
}
