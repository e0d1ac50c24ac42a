/** Backups as files: under a temporary name until they are whole and durable. */
import type { File, FileSystem } from "../ports.ts";

/** Behind the name of a file that is not whole. */
export const partSuffix = ".part";
/** Gathered before they are written. */
const writeBytes = 256 * 1024;
/** Synced at least this often, so that no other sync of the disk waits for a whole backup. */
const unsyncedBytesMax = 2 * 1024 * 1024;

/**
 * Writes `pieces`, each of which holds until the next is asked for, to `path`: durable, and there under that name, when
 * this resolves. What was there before under it is replaced then, and not before. Passes on what `pieces` throws, and
 * then nothing is left.
 */
export async function writeFile(
  fs: FileSystem,
  path: string,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const directory = directoryOf(path);
  const part = path + partSuffix;
  if ((await fs.list(directory)).includes(nameOf(part))) await fs.remove(part);
  const file = await fs.open(part, "create");
  try {
    try {
      await writeAll(file, pieces);
    } finally {
      await file.close();
    }
    await fs.rename(part, path);
    await fs.syncDirectory(directory);
  } catch (error) {
    await fs.remove(part).catch(() => {});
    throw error;
  }
}

async function writeAll(
  file: File,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const buffer = new Uint8Array(writeBytes);
  let filled = 0;
  let written = 0;
  let unsynced = 0;
  const flush = async (): Promise<void> => {
    if (filled === 0) return;
    await file.writev([buffer.subarray(0, filled)], written);
    written += filled;
    unsynced += filled;
    filled = 0;
    if (unsynced < unsyncedBytesMax) return;
    await file.datasync();
    unsynced = 0;
  };
  for await (const whole of pieces) {
    for (let at = 0; at < whole.length;) {
      const piece = whole.subarray(at, at + writeBytes - filled);
      buffer.set(piece, filled);
      filled += piece.length;
      at += piece.length;
      if (filled === writeBytes) await flush();
    }
  }
  await flush();
  await file.datasync();
}

/** A file's bytes, in pieces of their own. */
export async function* readFile(fs: FileSystem, path: string): AsyncGenerator<Uint8Array, void> {
  const file = await fs.open(path, "read");
  try {
    for (let at = 0;;) {
      const bytes = await file.read(at, writeBytes);
      if (bytes.length === 0) return;
      yield bytes;
      at += bytes.length;
    }
  } finally {
    await file.close();
  }
}

/** Where `path` is. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : slash === 0 ? "/" : path.slice(0, slash);
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
