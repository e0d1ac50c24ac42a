/**
 * Snapshots on files, in the format of `snapshot-format.ts`. A file is written under a temporary name, synced, read
 * back, renamed to `snapshot-<index>-<term>.snap` (16 hex digits each), and the directory synced; only then are older
 * ones removed. So a file under such a name that is not sound has decayed. The newest is read in full before it is
 * relied on; what is to be done about one that is not sound, `repair.ts` says.
 *
 * A snapshot being received is `snapshot-<index>-<term>-<size>.part`; it survives a restart, as far as it is sound.
 */
import { invariant, InvariantViolation } from "../assert.ts";
import { CorruptData, DiskFailure, MalformedBytes } from "../errors.ts";
import type { File, FileSystem, SnapshotFile, SnapshotStore, StagedSnapshot } from "../ports.ts";
import type { SnapshotMeta } from "../raft/types.ts";
import { checkSnapshot, hex, SNAPSHOT_NAME, snapshotName } from "./snapshot-check.ts";
import {
  readChunks,
  readHeader,
  SnapshotEncoder,
  sourceOf,
  verifySnapshot,
} from "./snapshot-format.ts";
import { type SnapshotIdentity, StagedFile } from "./staged-file.ts";
import { CORRUPTION_ADVICE } from "./wal-recovery.ts";

const PART_NAME = /^snapshot-([0-9a-f]{16})-[0-9a-f]{16}-[0-9a-f]{16}\.part$/;
const TEMPORARY_NAME = "snapshot.tmp";
/** Synced at least this often, so that the log's syncs never wait for the whole of a snapshot. */
const UNSYNCED_BYTES_MAX = 2 * 1024 * 1024;

export interface FileSnapshotsOptions {
  readonly fs: FileSystem;
  readonly directory: string;
}

/**
 * Opens the snapshots in a directory and removes what an earlier life left unfinished.
 * @throws {CorruptData} where the newest is not sound; nothing was changed then
 * @throws {DiskFailure}
 */
export async function openFileSnapshots(options: FileSnapshotsOptions): Promise<FileSnapshots> {
  const { fs, directory } = options;
  return await onDisk(async () => {
    await fs.makeDirectory(directory);
    const names = await fs.list(directory);
    const newest = names.findLast((name) => SNAPSHOT_NAME.test(name));
    const meta = newest === undefined ? null : await checkNewest(fs, directory, newest);
    // A killed process may have left its name, and with it the removal of older ones, in the system's cache only.
    if (meta !== null) await fs.syncDirectory(directory);
    // Nor need the removal of a part have come to the disk that a newer one took the place of.
    const newestPart = names.findLast((name) => PART_NAME.test(name));
    for (const name of names) {
      const older = SNAPSHOT_NAME.test(name) && name !== newest;
      const partOf = parseInt(PART_NAME.exec(name)?.[1] ?? "", 16);
      const useless = partOf <= (meta?.index ?? 0) || (partOf > 0 && name !== newestPart);
      if (older || useless || name === TEMPORARY_NAME) await fs.remove(`${directory}/${name}`);
    }
    return new FileSnapshots(fs, directory, meta);
  });
}

async function checkNewest(fs: FileSystem, directory: string, name: string): Promise<SnapshotMeta> {
  const path = `${directory}/${name}`;
  try {
    return await using(fs, path, "read", async (file) => {
      return await checkSnapshot(await sourceOf(file), name);
    });
  } catch (error) {
    throw asFailure(path, error);
  }
}

/** {@link SnapshotStore} on files; made by {@link openFileSnapshots}. */
export class FileSnapshots implements SnapshotStore {
  readonly #fs: FileSystem;
  readonly #directory: string;
  #latest: SnapshotMeta | null;
  #staged: StagedFile | null = null;
  #writing: Promise<void> = Promise.resolve();
  /** One thing at a time gives, takes or looks up names. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(fs: FileSystem, directory: string, latest: SnapshotMeta | null) {
    this.#fs = fs;
    this.#directory = directory;
    this.#latest = latest;
  }

  latest(): SnapshotMeta | null {
    return this.#latest;
  }

  /** Reading, sending and receiving go on meanwhile. What `chunks` throws is passed on. */
  async write(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const path = this.#path(TEMPORARY_NAME);
    const written = this.#writing.then(async () => {
      await onDisk(() => removeIfThere(this.#fs, path));
      const file = await onDisk(() => this.#fs.open(path, "create"));
      try {
        await writeSnapshot(file, new SnapshotEncoder(meta), chunks);
        await readBack(file, path);
      } finally {
        await file.close();
      }
      await this.#inTurn(() => this.#publish(path, meta));
    });
    this.#writing = written.catch(() => {});
    await written;
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    const opened = await this.#openNewest();
    if (opened === null) return;
    const { path, file } = opened;
    try {
      const source = await sourceOf(file);
      yield* readChunks(source, await readHeader(source));
    } catch (error) {
      throw asFailure(path, error);
    } finally {
      await file.close();
    }
  }

  async openFile(): Promise<SnapshotFile | null> {
    const opened = await this.#openNewest();
    if (opened === null) return null;
    const { meta, path, file } = opened;
    return {
      meta,
      size: await onDisk(() => file.size()),
      read: (offset, length) => onDisk(() => file.read(offset, length), path),
      close: () => file.close(),
    };
  }

  /** Only one is received at a time: another that was begun is discarded. */
  async stage(identity: SnapshotIdentity): Promise<StagedSnapshot> {
    return await this.#inTurn(async () => {
      this.#staged = null;
      const name = partName(identity);
      const names = await this.#fs.list(this.#directory);
      for (const other of names) {
        if (PART_NAME.test(other) && other !== name) await this.#fs.remove(this.#path(other));
      }
      const path = this.#path(name);
      const mode = names.includes(name) ? "write" : "create";
      await (await this.#fs.open(path, mode)).close();
      const staged = new StagedFile(identity, {
        use: (work) => onDisk(() => using(this.#fs, path, "write", work)),
        remove: () => onDisk(() => this.#fs.remove(path)),
      });
      await staged.resume();
      this.#staged = staged;
      return staged;
    });
  }

  async install(meta: SnapshotMeta): Promise<void> {
    await this.#inTurn(async () => {
      const staged = this.#staged;
      const { index, term, crc } = staged?.finished ?? { index: 0, term: 0, crc: 0 };
      invariant(
        staged !== null && index === meta.index && term === meta.term && crc === meta.crc,
        `snapshot ${meta.index} was not finished before it is installed`,
      );
      this.#staged = null;
      await this.#publish(this.#path(partName(staged.identity)), meta);
    });
  }

  /** Gives a synced and verified file its name, unless a newer one has come meanwhile. */
  async #publish(path: string, meta: SnapshotMeta): Promise<void> {
    const before = this.#latest;
    if (before !== null && before.index > meta.index) return await this.#fs.remove(path);
    await this.#fs.rename(path, this.#path(snapshotName(meta)));
    await this.#fs.syncDirectory(this.#directory);
    this.#latest = meta;
    if (before === null || snapshotName(before) === snapshotName(meta)) return;
    await this.#fs.remove(this.#path(snapshotName(before)));
  }

  /** The newest can be replaced, and its file removed, between looking and opening. */
  async #openNewest(): Promise<{ meta: SnapshotMeta; path: string; file: File } | null> {
    return await this.#inTurn(async () => {
      const meta = this.#latest;
      if (meta === null) return null;
      const path = this.#path(snapshotName(meta));
      return { meta, path, file: await this.#fs.open(path, "read") };
    });
  }

  #path(name: string): string {
    return `${this.#directory}/${name}`;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(() => onDisk(work));
    this.#queue = done.catch(() => {});
    return await done;
  }
}

async function writeSnapshot(
  file: File,
  encoder: SnapshotEncoder,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  let offset = 0;
  let unsynced = 0;
  const put = (...buffers: Uint8Array[]) =>
    onDisk(async () => {
      await file.writev(buffers, offset);
      const bytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
      offset += bytes;
      unsynced += bytes;
      if (unsynced < UNSYNCED_BYTES_MAX) return;
      await file.datasync();
      unsynced = 0;
    });
  await put(encoder.header);
  for await (const chunk of chunks) {
    if (chunk.length > 0) await put(encoder.chunkHeader(chunk), chunk);
  }
  await put(encoder.trailer());
  await onDisk(() => file.datasync());
}

async function readBack(file: File, path: string): Promise<void> {
  try {
    await onDisk(async () => await verifySnapshot(await sourceOf(file)));
  } catch (error) {
    if (!(error instanceof MalformedBytes)) throw error;
    throw new DiskFailure(`${path} reads back otherwise than it was written: ${error.message}`);
  }
}

async function using<T>(
  fs: FileSystem,
  path: string,
  mode: "read" | "write",
  work: (file: File) => Promise<T>,
): Promise<T> {
  const file = await fs.open(path, mode);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

async function removeIfThere(fs: FileSystem, path: string): Promise<void> {
  try {
    await fs.remove(path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
}

function partName({ index, term, size }: SnapshotIdentity): string {
  return `snapshot-${hex(index)}-${hex(term)}-${hex(size)}.part`;
}

async function onDisk<T>(work: () => Promise<T>, path = "a snapshot"): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof MalformedBytes ? error : asFailure(path, error);
  }
}

function asFailure(path: string, error: unknown): Error {
  if (error instanceof MalformedBytes) return corrupt(path, error);
  if (error instanceof CorruptData || error instanceof DiskFailure) return error;
  if (error instanceof InvariantViolation) return error;
  return new DiskFailure(`${path} could not be read or written: ${String(error)}`, {
    cause: error,
  });
}

function corrupt(path: string, error: MalformedBytes): CorruptData {
  return new CorruptData(path, error.offset, `${error.message}; ${CORRUPTION_ADVICE}`);
}
