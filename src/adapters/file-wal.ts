/**
 * The write-ahead log on files, with group commit: what is appended while a sync runs shares the next one. The format
 * and why it is so are in `wal-frame.ts`, what recovery accepts in `wal-recovery.ts`, the files in `wal-segments.ts`.
 *
 * Writes that wait are bounded by their owner (the core's windows). A failed write or sync rejects everything that
 * waits, and every append after it: the system may have dropped the pages, so nothing is tried twice.
 */
import { invariant, InvariantViolation } from "../assert.ts";
import { CorruptData, DiskFailure } from "../errors.ts";
import type { FileSystem, RecoveredLog, Wal, WalObserver, WalWrite } from "../ports.ts";
import type { HardState, Index } from "../raft/types.ts";
import type { ChainPoint } from "./log-record.ts";
import {
  anchored,
  encodeWrite,
  FRAME_HEADER_BYTES,
  frameBytes,
  sealFrame,
  SEGMENT_BYTES_MAX,
  SEGMENT_HEADER_BYTES,
  writeBytes,
} from "./wal-frame.ts";
import { FIRST_HARD_STATE, WalLog } from "./wal-log.ts";
import { recoverWal, type Recovery } from "./wal-recovery.ts";
import { type OpenSegment, type WalCounters, WalSegments } from "./wal-segments.ts";

/** Writes are gathered into one frame up to this size; a larger one goes alone. */
const FRAME_BYTES_MAX = 8 * 1024 * 1024;
/** The buffer in which frames are put together is kept up to this size. */
const SCRATCH_BYTES_MAX = 1024 * 1024;
const SEGMENT_BYTES_MIN = 1024;
const SEGMENT_BYTES_DEFAULT = 16 * 1024 * 1024;

export interface FileWalOptions {
  readonly fs: FileSystem;
  readonly directory: string;
  /** Bytes of a segment file, 16 MiB by default. A file with a larger frame is as large as that needs. */
  readonly segmentBytes?: number | undefined;
  /** Where the log starts if the directory holds none yet. */
  readonly start: ChainPoint;
  /** What was promised before the log's start, and the number of its first segment; nothing, and 1. */
  readonly before?: { readonly hardState: HardState; readonly segment: number };
}

export interface OpenedWal {
  readonly wal: FileWal;
  readonly recovered: RecoveredLog;
  /** Whether the directory held no WAL before. */
  readonly created: boolean;
}

/**
 * Opens the WAL in a directory, or creates it. What `recovered` says is durable: the last frame is written once more
 * and synced, since a killed process, or one whose sync failed, may have left it in the system's cache only.
 *
 * @throws {CorruptData} and nothing was changed
 * @throws {DiskFailure}
 */
export async function openFileWal(options: FileWalOptions): Promise<OpenedWal> {
  const { fs, directory, segmentBytes = SEGMENT_BYTES_DEFAULT, start } = options;
  invariant(
    segmentBytes >= SEGMENT_BYTES_MIN && segmentBytes <= SEGMENT_BYTES_MAX &&
      segmentBytes % 8 === 0,
    `segments of ${segmentBytes} bytes`,
  );
  const recovery = await onDisk(async () => {
    await fs.makeDirectory(directory);
    return await recoverWal(fs, directory);
  });
  const older = recovery?.segments.slice(0, -1) ?? [];
  const segments = new WalSegments({ fs, directory, segmentBytes, older });
  return await onDisk(async () => {
    await segments.removeTemporary();
    if (recovery !== null) {
      const segment = await reopen(fs, directory, recovery);
      const wal = new FileWal({ ...recovery, segments, segment });
      return { wal, recovered: recovery.log.recovered(), created: false };
    }
    const { hardState, segment: id } = options.before ??
      { hardState: FIRST_HARD_STATE, segment: 1 };
    const log = new WalLog(hardState, start);
    const header = { id, sequence: 1, last: start, hardState };
    const segment = await segments.rotate(header, 0, null);
    const state = { log, sequence: 1, offset: SEGMENT_HEADER_BYTES };
    const wal = new FileWal({ ...state, segments, segment });
    return { wal, recovered: log.recovered(), created: true };
  });
}

async function reopen(
  fs: FileSystem,
  directory: string,
  recovery: Recovery,
): Promise<OpenSegment> {
  const segment = recovery.segments.at(-1);
  invariant(segment !== undefined, "a recovery without segments");
  const file = await fs.open(segment.path, "write");
  try {
    const { lastFrame, salt } = recovery;
    if (lastFrame !== null) await file.writev([lastFrame.bytes], lastFrame.offset);
    await file.datasync();
    await fs.syncDirectory(directory);
    return { ...segment, file, salt };
  } catch (error) {
    await file.close();
    throw error;
  }
}

interface Waiting {
  readonly write: WalWrite;
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface FileWalState {
  readonly log: WalLog;
  readonly segments: WalSegments;
  readonly segment: OpenSegment;
  readonly sequence: number;
  readonly offset: number;
}

/** {@link Wal} on files; made by {@link openFileWal}. */
export class FileWal implements Wal {
  readonly #log: WalLog;
  readonly #segments: WalSegments;
  #segment: OpenSegment;
  #sequence: number;
  #offset: number;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | null = null;
  #failure: Error | null = null;
  #scratch: Uint8Array = new Uint8Array(64 * 1024);
  #observer: WalObserver | null = null;

  constructor(state: FileWalState) {
    this.#log = state.log;
    this.#segments = state.segments;
    this.#segment = state.segment;
    this.#sequence = state.sequence;
    this.#offset = state.offset;
  }

  /** For metrics and tests. */
  get counters(): Readonly<WalCounters> {
    return this.#segments.counters;
  }

  /** Tells of each frame from now on. */
  observe(observer: WalObserver): void {
    this.#observer = observer;
  }

  append(write: WalWrite): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ write, bytes: writeBytes(write), resolve, reject });
    this.#flushing ??= this.#flush();
    return promise;
  }

  async compactBefore(index: Index): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    this.#log.compactBefore(index);
    await this.#orFail(this.#segments.compactBefore(index));
  }

  async close(): Promise<void> {
    const flushed = this.#flushing;
    this.#failure ??= new DiskFailure("the WAL is closed");
    await flushed;
    await this.#segments.close();
    await this.#segment.file.close();
  }

  /** Writes frame after frame until nothing waits. */
  async #flush(): Promise<void> {
    // What the same turn appends shares the first frame.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch();
      try {
        await this.#writeFrame(batch);
      } catch (error) {
        const failure = this.#fail(error);
        for (const each of [...batch, ...this.#waiting.splice(0)]) each.reject(failure);
        break;
      }
      for (const each of batch) each.resolve();
      if (2 * this.#offset > this.#segment.bytes + SEGMENT_HEADER_BYTES && this.#failure === null) {
        // A failure is kept, and every later append meets it.
        this.#orFail(this.#segments.prepareSpare()).catch(() => {});
      }
    }
    this.#flushing = null;
  }

  #takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const each of this.#waiting) {
      bytes += each.bytes;
      if (count > 0 && bytes > FRAME_BYTES_MAX) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #writeFrame(batch: readonly Waiting[]): Promise<void> {
    const [head, ...rest] = batch;
    invariant(head !== undefined, "a frame of nothing");
    const first = anchored(head.write, this.#log);
    const bodyBytes = rest.reduce((sum, each) => sum + each.bytes, first.bytes);
    const bytes = frameBytes(bodyBytes);
    if (this.#offset + bytes > this.#segment.bytes) await this.#rotate(bytes);
    const frame = this.#buffer(bytes);
    let end = FRAME_HEADER_BYTES;
    for (const { write } of [first, ...rest]) {
      const cut = this.#log.cut(write);
      this.#segments.voidBehind(this.#log.begin(cut));
      this.#log.append(cut.entries);
      end = encodeWrite(frame, end, cut);
    }
    invariant(end === FRAME_HEADER_BYTES + bodyBytes, "a frame is not as long as it was counted");
    sealFrame(frame, { sequence: this.#sequence, bodyBytes, salt: this.#segment.salt });
    const begunAt = performance.now();
    await this.#segment.file.writev([frame], this.#offset);
    const writtenAt = performance.now();
    await this.#segment.file.datasync();
    this.#offset += bytes;
    this.#sequence++;
    this.#observer?.written((writtenAt - begunAt) / 1000, bytes);
    this.#observer?.synced((performance.now() - writtenAt) / 1000);
    const { counters } = this.#segments;
    counters.frames++;
    counters.syncs++;
    counters.bytes += bytes;
  }

  async #rotate(frame: number): Promise<void> {
    const { last, hardState } = this.#log;
    const header = { id: this.#segment.id + 1, sequence: this.#sequence, last, hardState };
    this.#segment = await this.#segments.rotate(header, frame, this.#segment);
    this.#offset = SEGMENT_HEADER_BYTES;
  }

  #buffer(bytes: number): Uint8Array {
    if (bytes > SCRATCH_BYTES_MAX) return new Uint8Array(bytes);
    if (bytes > this.#scratch.length) {
      this.#scratch = new Uint8Array(Math.min(SCRATCH_BYTES_MAX, 2 * bytes));
    }
    return this.#scratch.subarray(0, bytes);
  }

  async #orFail(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      throw this.#fail(error);
    }
  }

  #fail(error: unknown): Error {
    this.#failure ??= asFailure(error);
    return this.#failure;
  }
}

async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asFailure(error);
  }
}

function asFailure(error: unknown): Error {
  if (error instanceof CorruptData || error instanceof DiskFailure) return error;
  if (error instanceof InvariantViolation) return error;
  return new DiskFailure(`the write-ahead log failed: ${String(error)}`, { cause: error });
}
