/**
 * Makes data directories out of a backup: members of a new cluster whose log begins behind a snapshot of the restored
 * store. Nothing of the old cluster's is in them but the store, so that its members and theirs never take one another
 * for their own.
 */
import { type ClusterBirth, type Newborn, openDataDirectory } from "../adapters/data-directory.ts";
import { DataDirectoryRefused } from "../errors.ts";
import type { KvMachine } from "../kv/machine.ts";
import type { FileSystem } from "../ports.ts";
import { directoryOf } from "./file.ts";

/** Where the log of a restored cluster begins: all its first members have this place in common. */
const beginning = { index: 1, term: 1, crc: 0 };

/** A member to be. */
export interface RestoredMember extends Newborn {
  readonly directory: string;
}

/** Behind a directory's name until all of it is there. */
const unfinishedSuffix = ".restoring";

/**
 * Makes the members' directories. They get their names when all of all of them is durable.
 * @throws {DataDirectoryRefused} where one is there already and not empty: nothing was changed then. {DiskFailure}
 */
export async function makeDirectories(
  fs: FileSystem,
  members: readonly RestoredMember[],
  state: RestoredState,
): Promise<void> {
  for (const { directory } of members) {
    await refuseUnlessEmpty(fs, directory, "a restored member begins in a directory of its own");
    const rest = "a restore that did not end has left it there";
    await refuseUnlessEmpty(fs, directory + unfinishedSuffix, rest);
  }
  for (const { directory, ...newborn } of members) {
    await makeDirectory(fs, { ...newborn, directory: directory + unfinishedSuffix }, state);
  }
  for (const { directory } of members) {
    await fs.rename(directory + unfinishedSuffix, directory);
    await fs.syncDirectory(directoryOf(directory));
  }
}

/** What members begin with. */
export interface RestoredState {
  readonly machine: KvMachine;
  readonly cluster: ClusterBirth;
}

async function makeDirectory(
  fs: FileSystem,
  { directory, ...newborn }: RestoredMember,
  { machine, cluster }: RestoredState,
): Promise<void> {
  const storage = await openDataDirectory(fs, directory, newborn);
  try {
    const meta = { ...beginning, configuration: cluster.birth };
    await storage.snapshots.write(meta, eachOf(machine.snapshot().chunks()));
    const { index: commit, term } = beginning;
    await storage.wal.append({
      hardState: { term, vote: null, commit },
      reset: meta,
      truncateFrom: null,
      entries: [],
    });
    // What is in the snapshot only they can read who speak the version of its state.
    await storage.raise(machine.version);
    await storage.enter(cluster);
  } finally {
    await storage.wal.close();
    await storage.release();
  }
}

async function refuseUnlessEmpty(fs: FileSystem, directory: string, why: string): Promise<void> {
  let names: readonly string[];
  try {
    names = await fs.list(directory);
  } catch {
    // It is not there, or making it will say what is wrong with it.
    return;
  }
  if (names.length === 0) return;
  throw new DataDirectoryRefused(
    `${directory} is not empty: ${why}; remove it, or choose another`,
  );
}

async function* eachOf(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  for (const chunk of chunks) yield chunk;
}
