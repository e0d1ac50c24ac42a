/** Where a node keeps what it may not forget. */
import {
  type ClusterBirth,
  type DataDirectory,
  type Newborn,
  openDataDirectory,
} from "../src/adapters/data-directory.ts";
import { openMemorySnapshots } from "../src/adapters/memory-snapshots.ts";
import { type MemoryWal, openMemoryWal } from "../src/adapters/memory-wal.ts";
import { NodeFileSystem } from "../src/adapters/node-fs.ts";
import type { NodeConfig } from "../src/config.ts";
import type { DiskSpace, FileSystem, Logger } from "../src/ports.ts";
import { type Configuration, decodeConfiguration } from "../src/raft/mod.ts";
import { drawIncarnation } from "./birth.ts";
import { removedForEver } from "./newcomer.ts";

/** Storage in memory: nothing outlives the process. */
export interface MemoryStorage extends DataDirectory {
  readonly wal: MemoryWal;
}

/** See {@link MemoryStorage}. It opens again with what an `earlier` one holds, and goes on with that one's life. */
export function openMemory(newborn: Newborn, earlier?: MemoryStorage): MemoryStorage {
  const { wal, recovered } = openMemoryWal({ index: 0, term: 0, crc: 0 }, earlier?.wal);
  const snapshots = earlier?.snapshots ?? openMemorySnapshots();
  let cluster = earlier?.cluster ?? null;
  let format = earlier?.format ?? 1;
  return {
    newborn: earlier?.newborn ?? newborn,
    get cluster(): ClusterBirth | null {
      return cluster;
    },
    // A process that was removed ends, and this with it.
    wasRemoved: false,
    enter: async (entered) => {
      cluster = entered;
    },
    leave: async () => {},
    get format(): number {
      return format;
    },
    raise: async (raised) => {
      format = Math.max(format, raised);
    },
    wal,
    recovered,
    snapshots,
    debt: null,
    release: async () => {},
  };
}

/**
 * Opens what `config` says.
 * @throws {DataDirectoryRefused} also where this node was removed from its cluster. @throws {CorruptData} {DiskFailure}
 */
export async function openStorage(
  config: Pick<NodeConfig, "id" | "storage" | "data">,
  log: Logger,
  fileSystem: FileSystem = new NodeFileSystem(),
): Promise<DataDirectory> {
  const newborn = { id: config.id, incarnation: drawIncarnation() };
  if (config.storage === "memory") return openMemory(newborn);
  const storage = await openDataDirectory(fileSystem, config.data, newborn, { log });
  const { removed = [] } = configurationOf(storage) ?? {};
  if (!storage.wasRemoved && !removed.includes(config.id)) return storage;
  await storage.wal.close();
  await storage.release();
  throw removedForEver(config.id);
}

/** How full the disk is that `config` names; null where nothing can be full, or nobody is to look. */
export function diskSpace(
  { storage, data, diskReserveBytes }: Pick<NodeConfig, "storage" | "data" | "diskReserveBytes">,
  isUnderstood: () => boolean,
  fileSystem: FileSystem = new NodeFileSystem(),
): DiskSpace | null {
  if (storage === "memory" || diskReserveBytes === 0) return null;
  return { free: () => fileSystem.space(data), reserveBytes: diskReserveBytes, isUnderstood };
}

/** The last configuration that a disk knows to be committed, or null where it knows of the birth only. */
function configurationOf({ recovered, snapshots }: DataDirectory): Configuration | null {
  const { entries, hardState } = recovered;
  const isSettled = entries.findLast(({ kind, index }) =>
    kind === "configuration" && index <= hardState.commit
  );
  const snapshot = snapshots.latest();
  return isSettled !== undefined && isSettled.index > (snapshot?.index ?? 0)
    ? decodeConfiguration(isSettled.payload)
    : snapshot?.configuration ?? null;
}
