/**
 * The segment files of a WAL: made ahead, filled with zeros, rotated, recycled.
 *
 * A file is made under a temporary name, with zeros that are really written (overwriting blocks that exist makes a
 * synced write more than twice as fast as growing the file), and gets its segment name only when its header is
 * synced. A segment that is no longer needed becomes the next spare. One thing at a time changes files in the
 * background; appends wait for it only where a segment is full and no spare is ready.
 */
import { invariant } from "../assert.ts";
import type { File, FileSystem } from "../ports.ts";
import type { Index } from "../raft/types.ts";
import {
  encodeSegmentHeader,
  SEGMENT_BYTES_MAX,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from "./wal-frame.ts";
import { type Segment, segmentName } from "./wal-recovery.ts";

const ZEROS_BYTES = 1024 * 1024;
/** What a spare takes and leaves free, as a multiple of itself: a file system has needs of its own. */
const SPARE_ROOM_FACTOR = 17 / 16;
/** Frames are written so often, where there is no room for a spare, before that is looked at again. */
const LOOKS_SKIPPED = 64;
const TEMPORARY_NAME = /^wal-\d+\.tmp$/;

/** What was written and synced so far, zeros that were laid out included. */
export interface WalCounters {
  syncs: number;
  bytes: number;
  frames: number;
}

/** The segment that frames go to. */
export interface OpenSegment extends Segment {
  readonly file: File;
  readonly salt: number;
}

interface Spare {
  readonly path: string;
  readonly file: File;
  readonly bytes: number;
}

export interface WalSegmentsOptions {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly segmentBytes: number;
  /** Oldest first; the last is `current`, which is not among them. */
  readonly older: readonly Segment[];
}

/** The files of one WAL. Every method rejects with the system's error. */
export class WalSegments {
  readonly counters: WalCounters = { syncs: 0, bytes: 0, frames: 0 };
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #older: Segment[];
  #spare: Spare | null = null;
  #names = 0;
  /** The tail of the queue of background work. */
  #background: Promise<void> = Promise.resolve();
  #preparing = false;
  /** Where the disk had no room for a spare: how often it isn't looked at again. */
  #looksSkipped = 0;

  constructor(options: WalSegmentsOptions) {
    this.#fs = options.fs;
    this.#directory = options.directory;
    this.#segmentBytes = options.segmentBytes;
    this.#older = [...options.older];
  }

  /** Removes what an earlier life had begun and not named. */
  async removeTemporary(): Promise<void> {
    for (const name of await this.#fs.list(this.#directory)) {
      if (TEMPORARY_NAME.test(name)) await this.#fs.remove(`${this.#directory}/${name}`);
    }
  }

  /** Begins a segment with room for a frame of `frame` bytes, and closes the one before. Durable when this resolves. */
  async rotate(
    header: Omit<SegmentHeader, "segmentBytes">,
    frame: number,
    previous: OpenSegment | null,
  ): Promise<OpenSegment> {
    const needed = SEGMENT_HEADER_BYTES + frame;
    invariant(needed <= SEGMENT_BYTES_MAX, `a frame of ${frame} bytes could not be read back`);
    const { path: temporary, file, bytes } = await this.#takeSpare(needed);
    const encoded = encodeSegmentHeader({ ...header, segmentBytes: bytes });
    await file.writev([encoded.bytes], 0);
    await this.#sync(file, SEGMENT_HEADER_BYTES);
    const path = `${this.#directory}/${segmentName(header.id)}`;
    await this.#fs.rename(temporary, path);
    await this.#syncDirectory();
    if (previous !== null) {
      const { id, path, bytes } = previous;
      this.#older.push({ id, path, bytes, lastIndex: header.last.index });
      await previous.file.close();
    }
    return { id: header.id, path, bytes, file, salt: encoded.salt, lastIndex: header.last.index };
  }

  /** Entries beyond `index` in the segments before the current one are void. */
  voidBehind(index: Index): void {
    for (const segment of this.#older) segment.lastIndex = Math.min(segment.lastIndex, index);
  }

  /**
   * Makes the next segment's file ready, unless there is one. Where the disk has no room for it that waits: there may be
   * some before the current segment is full, and till then a full disk is no reason to end.
   */
  async prepareSpare(): Promise<void> {
    if (this.#spare !== null || this.#preparing || this.#looksSkipped-- > 0) return;
    this.#looksSkipped = 0;
    this.#preparing = true;
    await this.#inBackground(async () => {
      if (this.#spare !== null) return;
      if (await this.#hasRoom()) await this.#layOutSpare();
      else this.#looksSkipped = LOOKS_SKIPPED;
    }).finally(() => {
      this.#preparing = false;
    });
  }

  /** Removes or recycles the older segments that hold nothing from `index` on. */
  async compactBefore(index: Index): Promise<void> {
    await this.#inBackground(async () => {
      for (let oldest = this.#older[0]; oldest !== undefined; oldest = this.#older[0]) {
        if (oldest.lastIndex >= index) return;
        this.#older.shift();
        await this.#retire(oldest);
      }
    });
  }

  /** Waits for background work, then closes the spare. */
  async close(): Promise<void> {
    await this.#background;
    await this.#spare?.file.close();
    this.#spare = null;
  }

  /** Each removal is synced before the next: a gap between segments is never left by a crash. */
  async #retire(segment: Segment): Promise<void> {
    if (this.#spare !== null || segment.bytes !== this.#segmentBytes) {
      await this.#fs.remove(segment.path);
      await this.#syncDirectory();
      return;
    }
    const path = this.#temporaryPath();
    await this.#fs.rename(segment.path, path);
    await this.#syncDirectory();
    this.#spare = { path, file: await this.#fs.open(path, "write"), bytes: segment.bytes };
  }

  async #takeSpare(bytes: number): Promise<Spare> {
    if (bytes > this.#segmentBytes) return await this.#create(bytes);
    // Behind what is being done in the background, which may be this.
    if (this.#spare === null) await this.#inBackground(() => this.#layOutSpare());
    const spare = this.#spare ?? await this.#create(this.#segmentBytes);
    this.#spare = null;
    return spare;
  }

  async #layOutSpare(): Promise<void> {
    this.#spare ??= await this.#create(this.#segmentBytes);
  }

  async #hasRoom(): Promise<boolean> {
    // Where the system doesn't say, writing tells.
    const free = await this.#fs.space(this.#directory).catch(() => Infinity);
    return free >= SPARE_ROOM_FACTOR * this.#segmentBytes;
  }

  async #create(bytes: number): Promise<Spare> {
    const path = this.#temporaryPath();
    const file = await this.#fs.open(path, "create");
    const zeros = new Uint8Array(Math.min(bytes, ZEROS_BYTES));
    // Synced piece by piece, so that an append's sync never waits for the whole of it.
    for (let offset = 0; offset < bytes; offset += zeros.length) {
      const piece = zeros.subarray(0, Math.min(zeros.length, bytes - offset));
      await file.writev([piece], offset);
      await this.#sync(file, piece.length);
    }
    return { path, file, bytes };
  }

  #temporaryPath(): string {
    return `${this.#directory}/wal-${++this.#names}.tmp`;
  }

  async #sync(file: File, bytes: number): Promise<void> {
    await file.datasync();
    this.counters.syncs++;
    this.counters.bytes += bytes;
  }

  async #syncDirectory(): Promise<void> {
    await this.#fs.syncDirectory(this.#directory);
    this.counters.syncs++;
  }

  async #inBackground(work: () => Promise<void>): Promise<void> {
    const done = this.#background.then(work);
    // Whoever asked hears of the failure; the queue goes on, and its owner stops asking.
    this.#background = done.catch(() => {});
    await done;
  }
}
