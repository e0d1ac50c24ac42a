/**
 * Files that are looked at every second or so, and read again when they have changed: certificates and secrets are
 * renewed by programs that don't know of ours. Looking works everywhere, also where files are links into a directory
 * that is replaced (Kubernetes), which events of the file system don't tell of.
 */
import { stat } from "node:fs/promises";

/** Between two looks, in milliseconds: what is renewed is in use within some three seconds. */
export const LOOK_INTERVAL_MS = 1000;

export interface WatchedFiles {
  readonly paths: readonly string[];
  /** Told of a change, once the files have stayed as they are from one look to the next. Never rejects. */
  readonly onChange: () => Promise<void>;
  /** Between two looks. */
  readonly intervalMs: number;
}

/** Watches from now on: what is there now is known. Returns what ends it. */
export async function watchFiles(
  { paths, onChange, intervalMs }: WatchedFiles,
): Promise<() => void> {
  let known = await versionOf(paths);
  let last = known;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isClosed = false;
  const look = async (): Promise<void> => {
    const now = await versionOf(paths);
    // One that is being written is not read: half of it might well pass for the whole.
    if (now !== known && now === last && !isClosed) {
      known = now;
      await onChange();
    }
    last = now;
    lookLater();
  };
  const lookLater = (): void => {
    if (!isClosed) timer = setTimeout(() => void look(), intervalMs);
  };
  lookLater();
  return () => {
    isClosed = true;
    clearTimeout(timer);
  };
}

async function versionOf(paths: readonly string[]): Promise<string> {
  const versions = await Promise.all(paths.map(async (path) => {
    try {
      const { ino, size, mtimeMs, mode, uid, gid } = await stat(path);
      // One that could not be read may be readable now.
      return [ino, size, mtimeMs, mode, uid, gid].join(".");
    } catch {
      return "none";
    }
  }));
  return versions.join(" ");
}
