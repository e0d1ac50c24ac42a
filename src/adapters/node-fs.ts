/** The file system of a real machine, over `node:fs/promises` and `node:sqlite`, alike on all three runtimes. */
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  statfs,
  unlink,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import type { DatabaseSync } from "node:sqlite";
import { DataDirectoryRefused } from "../errors.ts";
import type { File, FileSystem } from "../ports.ts";

const FLAGS = { read: "r", write: "r+", create: "wx+" } as const;
/** What is made holds every value: it is its owner's alone. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

const LOCK_RETRY_MS = 20;

/** Locks of this process. The operating system would grant it a second one; and a collected one would be lost. */
const held = new Map<string, DatabaseSync | null>();

export interface NodeFileSystemOptions {
  /**
   * How long a lock is waited for, 1000 by default: a killed process can outlive its signal while the kernel finishes
   * its last sync, and of several that try at once each may find it busy.
   */
  readonly lockWaitMs?: number;
}

/** {@link FileSystem} over the system's own. */
export class NodeFileSystem implements FileSystem {
  readonly #lockWaitMs: number;

  constructor(options: NodeFileSystemOptions = {}) {
    this.#lockWaitMs = options.lockWaitMs ?? 1000;
  }

  async open(path: string, mode: "read" | "write" | "create"): Promise<File> {
    return new NodeFile(await open(path, FLAGS[mode], FILE_MODE));
  }

  async rename(from: string, to: string): Promise<void> {
    await rename(from, to);
  }

  async remove(path: string): Promise<void> {
    await unlink(path);
  }

  async list(directory: string): Promise<string[]> {
    return (await readdir(directory)).sort();
  }

  /** Each directory that is created is synced into its parent, or a power cut could take it with all that it holds. */
  async makeDirectory(path: string): Promise<void> {
    try {
      await mkdir(path, DIRECTORY_MODE);
    } catch (error) {
      if (hasCode(error, "EEXIST") && (await stat(path)).isDirectory()) return;
      if (!hasCode(error, "ENOENT") || dirname(path) === path) throw error;
      await this.makeDirectory(dirname(path));
      // Once, not until it works: below /proc there is no making, however often the parent is found in place.
      await mkdir(path, DIRECTORY_MODE).catch((again: unknown) => {
        if (!hasCode(again, "EEXIST")) throw again;
      });
    }
    await this.syncDirectory(dirname(path));
  }

  async syncDirectory(path: string): Promise<void> {
    const directory = await open(path, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  /** Under Deno it takes `--allow-sys`. */
  async space(path: string): Promise<number> {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  }

  /**
   * Holds the lock as an exclusive transaction of SQLite on the empty file `path`: of all that the three runtimes have
   * in common, only that takes a lock of the kernel's (fcntl), which no crash leaves behind, no reused process id
   * confuses, and containers that share a disk respect. `path` must not be opened in any other way: closing any
   * descriptor of a file drops its process's locks. `path`.pid says who holds it, to people only.
   */
  async lock(path: string): Promise<() => Promise<void>> {
    const file = join(await realpath(dirname(path)), basename(path));
    if (held.has(file)) {
      throw new DataDirectoryRefused(`${dirname(path)} is already in use by this very process`);
    }
    held.set(file, null);
    try {
      held.set(file, await acquire(file, this.#lockWaitMs));
      await writeFile(`${file}.pid`, String(process.pid)).catch((error: unknown) => {
        // A node is to start on a full disk, if only to be read.
        if (!hasCode(error, "ENOSPC") && !hasCode(error, "EDQUOT")) throw error;
      });
    } catch (error) {
      release(file);
      throw error;
    }
    return async () => {
      if (!held.has(file)) return;
      await rm(`${file}.pid`, { force: true });
      release(file);
    };
  }
}

async function acquire(file: string, waitMs: number): Promise<DatabaseSync> {
  const { DatabaseSync } = await import("node:sqlite");
  for (let waited = 0;; waited += LOCK_RETRY_MS) {
    let database: DatabaseSync | null = null;
    try {
      database = new DatabaseSync(file);
      // A journal on the disk would be left behind by a crash.
      database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
      return database;
    } catch (error) {
      database?.close();
      if (!/locked|busy/.test(String(error))) {
        throw new DataDirectoryRefused(
          `${file} cannot be locked: it must be an empty, writable file (${String(error)})`,
          { cause: error },
        );
      }
    }
    if (waited >= waitMs) throw await heldByAnother(file);
    await new Promise((resolve) => setTimeout(resolve, LOCK_RETRY_MS));
  }
}

function release(file: string): void {
  held.get(file)?.close();
  held.delete(file);
}

async function heldByAnother(file: string): Promise<DataDirectoryRefused> {
  const pid = await readFile(`${file}.pid`, "utf8").catch(() => "");
  const holder = /^\d{1,10}$/.test(pid) ? `process ${pid}` : "another process";
  return new DataDirectoryRefused(
    `${dirname(file)} is in use by ${holder}: stop it, or choose another directory`,
  );
}

class NodeFile implements File {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    const hasRoom = into !== undefined && into.length >= length;
    const bytes = hasRoom ? into.subarray(0, length) : new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await this.#handle.read(
        bytes,
        filled,
        length - filled,
        offset + filled,
      );
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return filled === length ? bytes : bytes.subarray(0, filled);
  }

  async writev(buffers: readonly Uint8Array[], offset: number): Promise<void> {
    const total = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    // A single buffer goes by `write`, which is several times as fast as `writev` on Deno.
    const written = buffers.length === 1 || total === 0
      ? 0
      : (await this.#handle.writev([...buffers], offset)).bytesWritten;
    let end = 0;
    for (const buffer of buffers) {
      end += buffer.length;
      if (end > written) {
        await this.#writeRest(buffer, offset + end, Math.min(buffer.length, end - written));
      }
    }
  }

  /** Writes the last `left` bytes of `buffer`, so that they end at `end` in the file; the system may take them in parts. */
  async #writeRest(buffer: Uint8Array, end: number, left: number): Promise<void> {
    while (left > 0) {
      const from = buffer.length - left;
      const { bytesWritten } = await this.#handle.write(buffer, from, left, end - left);
      if (bytesWritten === 0) throw new Error("the system wrote nothing");
      left -= bytesWritten;
    }
  }

  async datasync(): Promise<void> {
    await this.#handle.datasync();
  }

  async truncate(length: number): Promise<void> {
    await this.#handle.truncate(length);
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
