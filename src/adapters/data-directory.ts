/**
 * A node's data directory: whose it is, and what it holds.
 *
 * ```
 * lock            held by the process that uses the directory
 * identity.json   {"format":1,"id":"n1","incarnation":"…","crc":…} until the node belongs to a cluster, from then on
 *                 {"format":1,"clusterId":"…","id":"n1","incarnation":"…","birth":{"voters":[…],"outgoing":[],
 *                  "learners":[],"urls":{…},"incarnations":{…}},"crc":…}
 *                 and with "removed":true before "crc" once the node was removed from that cluster.
 *                 CRC-32 of all before it, written without spaces: a decayed voter would change majorities.
 *                 "format":2 once the directory may hold what 0.1.0 doesn't know (see `identity.ts`)
 * wal/            the log
 * snapshots/      the state machine's snapshots
 * repair.json, mending/, damaged/      what a repair does and did: see `repair.ts`
 * ```
 *
 * `identity.json` is written last of all at the first start, under a temporary name, synced and renamed, and so it is
 * when the node comes to a cluster: until it names one, nothing was promised yet, so whatever log there is must be
 * blank; where it does, so must the log stand. The incarnation is in this one file, so that no part of a directory can
 * be lost and its life go on.
 */
import { CorruptData, DataDirectoryRefused, DiskFailure } from "../errors.ts";
import type { FileSystem, LogDebt, Logger, RecoveredLog, SnapshotStore, Wal } from "../ports.ts";
import type { NodeId } from "../raft/types.ts";
import { openFileSnapshots } from "./file-snapshots.ts";
import { type OpenedWal, openFileWal } from "./file-wal.ts";
import {
  type ClusterBirth,
  FIRST_FORMAT,
  IDENTITY_NAME,
  type Known,
  type Newborn,
  readIdentity,
  writeIdentity,
} from "./identity.ts";
import { refuseLaterFormats } from "./later-formats.ts";
import { endRepair, type LogEnd, repair, type RepairSite, resumeRepair } from "./repair.ts";
import { corrupt } from "./wal-recovery.ts";

export type { Identity } from "./identity.ts";
export type { ClusterBirth, Newborn };

/** An open data directory, locked until `release`. */
export interface DataDirectory {
  readonly newborn: Newborn;
  /** The cluster that this node belonged to when this was opened; null before it does. */
  readonly cluster: ClusterBirth | null;
  /** Whether that cluster has removed it. */
  readonly wasRemoved: boolean;
  readonly wal: Wal;
  readonly recovered: RecoveredLog;
  readonly snapshots: SnapshotStore;
  /** Makes it a member's, once and for all; durable when this resolves. @throws {DiskFailure} */
  enter(cluster: ClusterBirth): Promise<void>;
  /** Notes that `cluster`, which it belongs to, has removed it; durable when this resolves. @throws {DiskFailure} */
  leave(cluster: ClusterBirth): Promise<void>;
  /** Which releases may read it: see `identity.ts`. */
  readonly format: number;
  /** Bars all releases that don't know this format; durable when this resolves. @throws {DiskFailure} */
  raise(format: number): Promise<void>;
  /** What a repair has left to be had from the peers; null where nothing is. */
  readonly debt: LogDebt | null;
  /** Gives the lock back; the WAL is closed before. */
  release(): Promise<void>;
}

/** What a directory may hold before its first start, beside files whose names begin with a dot. */
const ownNames =
  /^(lock(\.pid)?|identity\.json(\.tmp)?|root-token(\.new)?|wal|snapshots|repair\.json(\.tmp)?|mending|damaged|lost\+found|\..*)$/;

const diskTroubles: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "EIO"]);

/**
 * Locks a directory and opens what it holds, or makes it `newborn`'s where it is empty. Where it was one's already, that
 * one's incarnation stands. A log or snapshot that has decayed is mended, where other voters have what is lost with it
 * (see `repair.ts`). `segmentBytes` is the log's.
 * @throws {DataDirectoryRefused} where it is locked, another node's, not usable, or something else altogether.
 * @throws {CorruptData} where only an operator may decide.
 * @throws {DiskFailure}
 */
export async function openDataDirectory(
  fs: FileSystem,
  directory: string,
  newborn: Newborn,
  options: { readonly segmentBytes?: number; readonly log?: Logger } = {},
): Promise<DataDirectory> {
  const release = await refusing(directory, async () => {
    await fs.makeDirectory(directory);
    const stranger = (await fs.list(directory)).find((name) => !ownNames.test(name));
    if (stranger !== undefined) {
      throw new DataDirectoryRefused(
        `${directory} holds ${
          JSON.stringify(stranger)
        }, which is not Holdfast's: choose an empty directory`,
      );
    }
    return await fs.lock(`${directory}/lock`);
  });
  try {
    const known = await refusing(directory, () => knownAs(fs, directory, newborn.id));
    const { segmentBytes, log = () => {} } = options;
    const self = { id: newborn.id, incarnation: known?.incarnation ?? newborn.incarnation };
    const file = new IdentityFile(fs, directory, {
      ...{ format: FIRST_FORMAT, cluster: null },
      ...known,
      ...self,
    });
    const site = { fs, directory, id: self.id, segmentBytes, log };
    const { snapshots, opened, debt } = await openStores(site, known?.cluster ?? null);
    try {
      checkBeginning(directory, known, opened);
      if (known?.incarnation === undefined) await file.write({});
    } catch (error) {
      await opened.wal.close();
      throw error;
    }
    const { wal, recovered } = opened;
    return {
      newborn: self,
      cluster: known?.cluster ?? null,
      wasRemoved: known?.removed === true,
      wal,
      recovered,
      snapshots,
      debt,
      enter: (cluster) => file.write({ cluster }),
      leave: (cluster) => file.write({ cluster, removed: true }),
      get format(): number {
        return file.known.format;
      },
      raise: async (format) => {
        if (format > file.known.format) await file.write({ format });
      },
      release,
    };
  } catch (error) {
    await release();
    throw error;
  }
}

/** What is known of `id` here; null before its first start. @throws {DataDirectoryRefused} {CorruptData} */
async function knownAs(fs: FileSystem, directory: string, id: NodeId): Promise<Known | null> {
  const known = await readIdentity(fs, directory);
  if (known !== null && known.id !== id) {
    throw new DataDirectoryRefused(
      `${directory}/${IDENTITY_NAME} says that this is the directory of node ${known.id}` +
        (known.cluster === null ? "" : ` of cluster ${known.cluster.clusterId}`) +
        `, not of ${id}: start it with --id ${known.id}, or choose another --data`,
    );
  }
  // A process killed at its first start may have left the identity's name in the system's cache only.
  if (known !== null) await fs.syncDirectory(directory);
  await refuseLaterFormats(fs, directory);
  return known;
}

/** What the file says, and changes of it, one after the other. */
class IdentityFile {
  readonly #fs: FileSystem;
  readonly #directory: string;
  #known: Known;
  #writing: Promise<void> = Promise.resolve();

  constructor(fs: FileSystem, directory: string, known: Known) {
    this.#fs = fs;
    this.#directory = directory;
    this.#known = known;
  }

  /** What is durable. */
  get known(): Known {
    return this.#known;
  }

  write(change: Partial<Known>): Promise<void> {
    const written = this.#writing.then(async () => {
      const known = { ...this.#known, ...change };
      await refusing(this.#directory, () => writeIdentity(this.#fs, this.#directory, known));
      this.#known = known;
    });
    this.#writing = written.catch(() => {});
    return written;
  }
}

interface Stores {
  readonly snapshots: SnapshotStore;
  readonly opened: OpenedWal;
}

/** Opens log and snapshots, mended where they have decayed. */
async function openStores(
  opening: Omit<RepairSite, "birth">,
  cluster: ClusterBirth | null,
): Promise<Stores & { readonly debt: LogDebt | null }> {
  if (cluster === null) return { ...await openBoth(opening), debt: null };
  const site = { ...opening, birth: cluster.birth };
  let owes = await resumeRepair(site);
  const debtOf = (owes: LogEnd | null): LogDebt | null =>
    owes === null ? null : { owes, settle: () => endRepair(site) };
  if (owes !== null) {
    site.log("warn", "this node goes on asking its peers for what it lost", { owes });
  }
  try {
    return { ...await openBoth(site), debt: debtOf(owes) };
  } catch (error) {
    if (!(error instanceof CorruptData)) throw error;
    owes = await repair(site, error, owes);
    return { ...await openBoth(site), debt: debtOf(owes) };
  }
}

async function openBoth(
  { fs, directory, segmentBytes }: Omit<RepairSite, "birth">,
): Promise<Stores> {
  const snapshots = await openFileSnapshots({ fs, directory: `${directory}/snapshots` });
  const path = `${directory}/wal`;
  const start = { index: 0, term: 0, crc: 0 };
  const opened = await openFileWal({ fs, directory: path, start, segmentBytes });
  const first = opened.recovered.logStart.index + 1;
  const snapshot = snapshots.latest()?.index ?? 0;
  if (first <= snapshot + 1) return { snapshots, opened };
  await opened.wal.close();
  throw corrupt(path, 0, `the log begins at ${first}, and the snapshot ends at ${snapshot}`);
}

/** A log without a cluster, or a cluster without a log, is a directory that lost a part. */
function checkBeginning(
  directory: string,
  known: Known | null,
  { created, recovered }: { readonly created: boolean; readonly recovered: RecoveredLog },
): void {
  const { hardState, logStart, entries } = recovered;
  const isBlank = hardState.term === 0 && logStart.index === 0 && entries.length === 0;
  const cluster = known?.cluster ?? null;
  if (cluster !== null && created) {
    throw new DataDirectoryRefused(
      `${directory}/wal is empty, yet this directory belongs to node ${known?.id}, which may have made promises in ` +
        `its log: restore the log, or give the cluster a new member under another id`,
    );
  }
  if (cluster === null && !isBlank) {
    const lack = known === null ? "is missing" : "knows of no cluster";
    throw new DataDirectoryRefused(
      `${directory}/${IDENTITY_NAME} ${lack}, yet ${directory}/wal holds a log: restore the file, or choose an ` +
        `empty directory`,
    );
  }
}

/** Gives the system's refusals to open or create anything the form of {@link DataDirectoryRefused}. */
async function refusing<T>(directory: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    // Deno refuses some paths by itself, without a code.
    const isSystems = error instanceof Error && ("code" in error || error.name === "NotCapable");
    if (!isSystems) throw error;
    if ("code" in error && diskTroubles.has(error.code)) {
      throw new DiskFailure(error.message, { cause: error });
    }
    throw new DataDirectoryRefused(
      `${directory} cannot be used: ${error.message}; choose a directory that this user may write to`,
      { cause: error },
    );
  }
}
