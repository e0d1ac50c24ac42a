/**
 * Reads a damaged WAL for what can still be said of it with certainty, and changes nothing.
 *
 * Recovery (`wal-recovery.ts`) stops at the first loss. A survey goes on behind it: every frame begins with the hard
 * state and a place in the log, and so does every segment, so whatever stands there sound tells what had been promised
 * by then, and where the log stood. What it finds:
 *
 * - **Hard state**, as of the last sound frame. It is certain, because what may follow is at most one frame whose sync
 *   nobody was told of. Where no sound frame or header stands behind a loss, that may have held a vote: refused.
 * - **The log**: the longest run of entries that reaches up to the first loss. It goes on behind a loss where the next
 *   place is in it (what was lost had no entries that count), and begins anew there where the snapshot stands for all
 *   entries up to that place. Commit is what was known when the run ended.
 * - **What is owed**: where the log ended in truth, if the run ends before.
 *
 * A run that ends at a loss may hold entries that were replaced later. Those of a term beyond that of the true end
 * certainly were, and are dropped: else such a run could pass for one that is as far as the true log.
 */
import { crc32 } from "node:zlib";
import { InvariantViolation } from "../assert.ts";
import { CorruptData, MalformedBytes } from "../errors.ts";
import type { FileSystem } from "../ports.ts";
import { decodeConfiguration } from "../raft/membership.ts";
import type { LogEnd } from "../raft/log.ts";
import type { Configuration, HardState } from "../raft/types.ts";
import { type ChainPoint, readU32, readU64 } from "./log-record.ts";
import {
  findFrameHeader,
  FRAME_HEADER_BYTES,
  type FrameAnchor,
  frameBytes,
  readAnchor,
  readFrameHeader,
  replayFrame,
  SEGMENT_HEADER_BYTES,
} from "./wal-frame.ts";
import { point, samePoint, WalLog } from "./wal-log.ts";
import {
  corrupt,
  openHeader,
  readSegment,
  sameHardState,
  SEGMENT_NAME,
  segmentName,
} from "./wal-recovery.ts";

/** What a WAL says, damaged or not. */
export interface Survey {
  /** What is kept. */
  readonly log: WalLog;
  /** Where the log ended; null where what is kept ends there, too. */
  readonly owes: LogEnd | null;
  /** The first loss; null where there is none. */
  readonly damage: CorruptData | null;
  /** What is kept is what a recovery of these files says. */
  readonly isWhole: boolean;
  /** Of the members, the latest that stands anywhere in it. */
  readonly configuration: Configuration | null;
  /** Beyond the number of every segment. */
  readonly nextSegment: number;
}

/**
 * Surveys the WAL in `directory`, whose log may begin behind `snapshot` at the latest.
 * @throws {CorruptData} where it can't be told what was promised, or what stands there is no one log's.
 * @throws {DiskFailure}
 */
export async function surveyWal(
  fs: FileSystem,
  directory: string,
  snapshot: ChainPoint,
): Promise<Survey> {
  const surveyor = new Surveyor(snapshot);
  let newest = 0;
  for (const name of await fs.list(directory)) {
    const id = parseInt(SEGMENT_NAME.exec(name)?.[1] ?? "", 16);
    if (!(id >= 0)) continue;
    const path = `${directory}/${name}`;
    const bytes = await readSegment(fs, path);
    if (crc32(bytes) !== crc32(await readSegment(fs, path))) {
      throw corrupt(path, 0, "the disk reads this file differently each time");
    }
    surveyor.segment(path, name, bytes);
    newest = id;
  }
  // One is left out, so that no file that turns up again can be taken for what goes before the new ones.
  return { ...surveyor.end(directory), nextSegment: newest + 2 };
}

class Surveyor {
  readonly #snapshot: ChainPoint;
  #damage: CorruptData | null = null;
  #log: WalLog | null = null;
  /** `#log` holds all there was; else it ended at a loss. */
  #isComplete = false;
  /** What was promised and where the log ended, before the next frame; null behind a loss. */
  #end: { readonly hardState: HardState; readonly last: ChainPoint } | null = null;
  /** The last that was read. Terms and votes never go back. */
  #hardState: HardState | null = null;
  /** Of the next frame. */
  #sequence = 0;
  #previousName = "";
  #configuration: Configuration | null = null;

  constructor(snapshot: ChainPoint) {
    this.#snapshot = snapshot;
  }

  segment(path: string, name: string, bytes: Uint8Array): void {
    const previous = this.#previousName;
    this.#previousName = name;
    const opened = open(path, name, bytes);
    if (opened instanceof CorruptData) {
      this.#lose(opened);
      for (const salt of salts(name, bytes)) this.#frames(path, bytes, salt);
      // Frames may have stood behind where it ends.
      if (claimedBytes(bytes) !== bytes.length) this.#lose(opened);
      return;
    }
    const { header, salt } = opened;
    if (previous !== "" && previous !== segmentName(header.id - 1)) {
      this.#lose(corrupt(path, 0, "a segment before it is missing"));
    }
    if (previous !== "" && header.sequence !== this.#sequence) {
      this.#lose(corrupt(path, 0, `frame ${this.#sequence}, before it, is damaged`));
    }
    const { hardState, last } = header;
    const end = this.#end;
    if (end !== null && !(samePoint(end.last, last) && sameHardState(end.hardState, hardState))) {
      throw corrupt(path, 0, "this segment does not follow the one before it");
    }
    if (end === null) {
      this.#meet(path, { hardState, point: last, resets: false }, header.sequence);
    }
    this.#frames(path, bytes, salt);
  }

  /** Draws the conclusion. */
  end(directory: string): Omit<Survey, "nextSegment"> {
    const end = this.#end;
    const damage = this.#damage;
    if (end === null) {
      throw damage ?? corrupt(directory, 0, "there is no log");
    }
    this.#learn(this.#log);
    const configuration = this.#configuration;
    const { index, term } = end.last;
    const log = this.#log;
    if (log === null || log.start.index > this.#snapshot.index) {
      const hardState = { ...end.hardState, commit: this.#snapshot.index };
      const owes = { index, term };
      const kept = new WalLog(hardState, point(this.#snapshot));
      return { log: kept, owes, damage, isWhole: false, configuration };
    }
    if (this.#isComplete) {
      return { log, owes: null, damage, isWhole: damage === null, configuration };
    }
    cutToTerm(log, end.last);
    const commit = Math.min(log.hardState.commit, log.last.index);
    log.hardState = { ...end.hardState, commit };
    return { log, owes: { index, term }, damage, isWhole: false, configuration };
  }

  #frames(path: string, bytes: Uint8Array, salt: number): void {
    for (let offset = SEGMENT_HEADER_BYTES;;) {
      const header = readFrameHeader(bytes, offset, salt);
      if (header === null) {
        const found = findFrameHeader(bytes, offset + 1, salt);
        if (found < 0) return;
        this.#lose(corrupt(path, offset, `frame ${this.#sequence} is damaged`));
        offset = found;
        continue;
      }
      const { sequence, bodyBytes } = header;
      const bodyAt = offset + FRAME_HEADER_BYTES;
      if (sequence < this.#sequence || bodyAt + bodyBytes > bytes.length) {
        throw corrupt(path, offset, `frame ${sequence} cannot be behind frame ${this.#sequence}`);
      }
      // Also where the body of the one before was damaged: that this one was begun proves that it had been synced.
      if (sequence > this.#sequence) {
        this.#lose(corrupt(path, offset, `frame ${this.#sequence}, before it, is damaged`));
      }
      const body = bytes.slice(bodyAt, bodyAt + bodyBytes);
      if (crc32(body) === header.bodyCrc) this.#frame(path, bodyAt, body, sequence);
      offset += frameBytes(bodyBytes);
    }
  }

  #frame(path: string, bodyAt: number, body: Uint8Array, sequence: number): void {
    try {
      const anchor = readAnchor(body);
      if (this.#end === null && anchor === null) {
        this.#sequence = sequence + 1;
        return;
      }
      if (anchor !== null && !(this.#end !== null && this.#isComplete)) {
        this.#meet(path, anchor, sequence);
      }
      const follows = this.#end;
      const log = this.#isComplete || follows === null
        ? this.#log
        : new WalLog(follows.hardState, follows.last);
      if (log === null) return;
      replayFrame(body, log);
      if (!this.#isComplete) this.#learn(log);
      this.#end = { hardState: log.hardState, last: point(log.last) };
      this.#hardState = log.hardState;
      this.#sequence = sequence + 1;
    } catch (error) {
      if (error instanceof MalformedBytes) {
        throw corrupt(path, bodyAt + error.offset, error.message);
      }
      if (error instanceof InvariantViolation) throw corrupt(path, bodyAt, error.message);
      throw error;
    }
  }

  /** A sound place: takes the log up again where it can be. @throws {CorruptData} */
  #meet(path: string, anchor: FrameAnchor, sequence: number): void {
    const { hardState, point: place, resets } = anchor;
    if (sequence < this.#sequence || !mayFollow(hardState, this.#hardState)) {
      throw corrupt(path, 0, "what stands here does not follow what stands before it");
    }
    this.#end = { hardState, last: place };
    this.#hardState = hardState;
    this.#sequence = sequence;
    if (this.#log !== null && !resets && this.#log.holds(place)) {
      this.#log.begin({ hardState, reset: null, keep: place });
      this.#isComplete = true;
    } else if (place.index <= this.#snapshot.index) {
      this.#learn(this.#log);
      this.#log = new WalLog(hardState, place);
      this.#isComplete = true;
    } else this.#isComplete = false;
  }

  #lose(damage: CorruptData): void {
    this.#damage ??= damage;
    this.#isComplete = false;
    this.#end = null;
  }

  #learn(log: WalLog | null): void {
    const entry = log?.recovered().entries.findLast(({ kind }) => kind === "configuration");
    if (entry === undefined) return;
    try {
      this.#configuration = decodeConfiguration(entry.payload);
    } catch (error) {
      // Whoever wrote it has halted, and whoever replays it will: of the members it says nothing.
      if (!(error instanceof MalformedBytes)) throw error;
    }
  }
}

function open(
  path: string,
  name: string,
  bytes: Uint8Array,
): ReturnType<typeof openHeader> | CorruptData {
  try {
    return openHeader(path, name, bytes);
  } catch (error) {
    if (error instanceof CorruptData) return error;
    throw error;
  }
}

/** What the frames behind a header that is damaged may be salted with: whichever is right, only its frames pass. */
function salts(name: string, bytes: Uint8Array): readonly number[] {
  if (bytes.length < SEGMENT_HEADER_BYTES) return [];
  const claimed = readU32(bytes, 8);
  const actual = crc32(bytes.subarray(12, SEGMENT_HEADER_BYTES));
  if (claimed !== actual) return [claimed, actual];
  return segmentName(readU64(bytes, 16)) === name ? [actual] : [];
}

function claimedBytes(bytes: Uint8Array): number {
  return bytes.length < SEGMENT_HEADER_BYTES ? NaN : readU32(bytes, 12);
}

function mayFollow(next: HardState, previous: HardState | null): boolean {
  if (previous === null || next.term > previous.term) return true;
  if (next.term < previous.term) return false;
  return previous.vote === null || next.vote === previous.vote;
}

/** Drops what the true log, which ends at `end`, certainly replaced. */
function cutToTerm(log: WalLog, end: ChainPoint): void {
  const kept = log.recovered().entries.findLast(({ index, term }) =>
    index <= end.index && term <= end.term
  );
  log.begin({ hardState: null, reset: null, keep: point(kept ?? log.start) });
}
