/**
 * A node's data directory: whose it is, and what it holds.
 *
 * ```
 * lock            held by the process that uses the directory
 * identity.json   {"format":1,"clusterId":"…","id":"n1","birth":{"voters":[…],"outgoing":[],"learners":[],"urls":{…}},
 *                  "crc":…}   CRC-32 of all before it, written without spaces: a decayed voter would change majorities
 * wal/            the log
 * snapshots/      the state machine's snapshots
 * ```
 *
 * `identity.json` is written last of all at the first start, under a temporary name, synced and renamed: where it is
 * missing, nothing was promised yet, so whatever log there is must be blank; where it stands, so must the log.
 */
import { crc32 } from "node:zlib";
import * as v from "valibot";
import { CorruptData, DataDirectoryRefused, DiskFailure } from "../errors.ts";
import type { FileSystem, RecoveredLog, SnapshotStore, Wal } from "../ports.ts";
import type { Configuration, NodeId } from "../raft/types.ts";
import { openFileSnapshots } from "./file-snapshots.ts";
import { openFileWal } from "./file-wal.ts";

/** Who a node is, from its first start on. */
export interface Identity {
  readonly clusterId: string;
  readonly id: NodeId;
  /** The cluster's first configuration. */
  readonly birth: Configuration;
}

/** An open data directory, locked until `release`. */
export interface DataDirectory {
  readonly identity: Identity;
  readonly wal: Wal;
  readonly recovered: RecoveredLog;
  readonly snapshots: SnapshotStore;
  /** Gives the lock back; the WAL is closed before. */
  release(): Promise<void>;
}

const IDENTITY_BYTES_MAX = 64 * 1024;
const IDENTITY_NAME = "identity.json";
const TEMPORARY_NAME = "identity.json.tmp";
/** What a directory may hold before its first start, beside files whose names begin with a dot. */
const ownNames = /^(lock(\.pid)?|identity\.json(\.tmp)?|wal|snapshots|lost\+found|\..*)$/;

const diskTroubles: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "EIO"]);

const ids = v.array(v.string());
/** Not `v.record`, which drops a member whose id is `__proto__`. */
const urls = v.custom<Readonly<Record<NodeId, string>>>((value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) &&
  Object.values(value).every((url) => typeof url === "string")
);
const identityShape = v.object({
  format: v.literal(1),
  clusterId: v.string(),
  id: v.string(),
  crc: v.number(),
  birth: v.object({
    voters: v.pipe(ids, v.minLength(1)),
    outgoing: ids,
    learners: ids,
    urls,
  }),
});

/**
 * Locks a directory and opens what it holds, or makes it `identity`'s where it is empty. Where it holds a cluster
 * already, that cluster's id and first configuration stand, whatever `identity` says of them. `sizes` are the log's.
 * @throws {DataDirectoryRefused} where it is locked, another node's, not usable, or something else altogether.
 * @throws {CorruptData} where only an operator may decide.
 * @throws {DiskFailure}
 */
export async function openDataDirectory(
  fs: FileSystem,
  directory: string,
  identity: Identity,
  sizes: { readonly segmentBytes?: number } = {},
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
    const known = await refusing(directory, () => readIdentity(fs, directory));
    if (known !== null && known.id !== identity.id) {
      throw new DataDirectoryRefused(
        `${directory}/${IDENTITY_NAME} says that this is the directory of node ${known.id} of cluster ` +
          `${known.clusterId}, not of ${identity.id}: start it with --id ${known.id}, or choose another --data`,
      );
    }
    // A process killed at its first start may have left the identity's name in the system's cache only.
    if (known !== null) await refusing(directory, () => fs.syncDirectory(directory));
    const snapshots = await openFileSnapshots({ fs, directory: `${directory}/snapshots` });
    const start = { index: 0, term: 0, crc: 0 };
    const opened = await openFileWal({ ...sizes, fs, directory: `${directory}/wal`, start });
    try {
      checkBeginning(directory, known, opened);
      if (known === null) {
        await refusing(directory, () => writeIdentity(fs, directory, identity));
      }
    } catch (error) {
      await opened.wal.close();
      throw error;
    }
    const { wal, recovered } = opened;
    return { identity: known ?? identity, wal, recovered, snapshots, release };
  } catch (error) {
    await release();
    throw error;
  }
}

/** A log without an identity, or an identity without a log, is a directory that lost a part. */
function checkBeginning(
  directory: string,
  known: Identity | null,
  { created, recovered }: { readonly created: boolean; readonly recovered: RecoveredLog },
): void {
  const { hardState, logStart, entries } = recovered;
  const isBlank = hardState.term === 0 && logStart.index === 0 && entries.length === 0;
  if (known !== null && created) {
    throw new DataDirectoryRefused(
      `${directory}/wal is empty, yet this directory belongs to node ${known.id}, which may have made promises in ` +
        `its log: restore the log, or give the cluster a new member under another id`,
    );
  }
  if (known === null && !isBlank) {
    throw new DataDirectoryRefused(
      `${directory}/${IDENTITY_NAME} is missing, yet ${directory}/wal holds a log: restore the file, or choose an ` +
        `empty directory`,
    );
  }
}

async function readIdentity(fs: FileSystem, directory: string): Promise<Identity | null> {
  const path = `${directory}/${IDENTITY_NAME}`;
  if (!(await fs.list(directory)).includes(IDENTITY_NAME)) return null;
  const bytes = await readFirst(fs, path, IDENTITY_BYTES_MAX + 1);
  const result = v.safeParse(
    identityShape,
    bytes.length > IDENTITY_BYTES_MAX ? null : parse(bytes),
  );
  if (result.success && result.output.crc === crcOf(result.output)) {
    const { clusterId, id, birth } = result.output;
    return { clusterId, id, birth };
  }
  throw new CorruptData(
    path,
    0,
    "this is not an identity of format 1, or no sound one: restore the file from a copy, or empty this node's data directory and " +
      "let it join the cluster anew",
  );
}

async function readFirst(fs: FileSystem, path: string, bytes: number): Promise<Uint8Array> {
  const file = await fs.open(path, "read");
  try {
    return await file.read(0, bytes);
  } finally {
    await file.close();
  }
}

function identityDocument({ clusterId, id, birth }: Identity): object {
  const { voters, outgoing, learners, urls } = birth;
  return { format: 1, clusterId, id, birth: { voters, outgoing, learners, urls } };
}

function crcOf(identity: Identity): number {
  return crc32(JSON.stringify(identityDocument(identity)));
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return null;
  }
}

async function writeIdentity(fs: FileSystem, directory: string, identity: Identity): Promise<void> {
  const temporary = `${directory}/${TEMPORARY_NAME}`;
  if ((await fs.list(directory)).includes(TEMPORARY_NAME)) await fs.remove(temporary);
  const document = { ...identityDocument(identity), crc: crcOf(identity) };
  const text = `${JSON.stringify(document, null, 2)}\n`;
  const file = await fs.open(temporary, "create");
  try {
    await file.writev([new TextEncoder().encode(text)], 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await fs.rename(temporary, `${directory}/${IDENTITY_NAME}`);
  await fs.syncDirectory(directory);
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
