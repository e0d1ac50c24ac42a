/** `restore`: a new cluster out of a backup. */
import { NodeFileSystem } from "../adapters/node-fs.ts";
import { checkBackup, loadBackup } from "../backup/check.ts";
import { makeDirectories } from "../backup/directory.ts";
import { openBackup } from "../backup/format.ts";
import { nodeOptions, peersTakes } from "../config/options.ts";
import { concat } from "../client/bytes.ts";
import { idSchema, peersSchema } from "../config/schemas.ts";
import { BadConfiguration, DataDirectoryRefused, DiskFailure, MalformedBytes } from "../errors.ts";
import { restoreBytesMax } from "../kv/staging.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import { bytesOf, unsound } from "./backup.ts";
import { clientFlags, clientFrom, clientHelp, type Command, readFlag } from "./command.ts";
import { exit, printAnswer, shown, tell } from "./output.ts";

const { data, id } = nodeOptions;
const peers: FlagSpec = { takes: peersTakes };

/** Of a restore over HTTP. */
const TIMEOUT_DEFAULT = "150s";

/** `restore`. */
export const restore: Command = {
  summary: "make a new cluster out of a backup",
  help: `holdfast restore FILE --data DIR --peers n1=URL,n2=URL,n3=URL
holdfast restore FILE --data DIR --id n1 --peers n1=URL
holdfast restore FILE

Makes a backup the store of a new cluster, whose revisions go on behind the backup's. Leases and
times to live go on with what they had left, and kept answers are kept. FILE is checked first, all
of it: what is not sound changes nothing.

With --data, while no node runs, it makes a data directory for each of the first members: DIR/n1,
DIR/n2 and so on, to be moved to where they run, and started as always. With --id and one peer DIR
itself is that member's; others are added to it later with member add. The new cluster's nodes and
those of the one that the backup is of never take each other for theirs. Nothing is made where DIR
holds anything.

Without --data it goes into a running cluster that is empty, in which nothing was ever put: up to
64 MiB, on all members or on none.

  --data DIR         where the directories go
  --peers P          the new cluster's first members, each with its URL
  --id ID            DIR is this member's own directory${
    clientHelp.replace("(default 15s)", `(default ${TIMEOUT_DEFAULT})`)
  }

Exit status: 0 done, 1 FILE is not sound, or the cluster is not empty: nothing was changed, 2 wrong
command line, or FILE can't be read, 5 no node could serve it (nothing was changed), 6 the outcome
is unknown, 7 DIR is not empty or can't be written, or the backup was refused.
`,
  syntax: { flags: { data, peers, id, ...clientFlags }, operands: ["FILE"] },
  run: async (args) => {
    const [file = "-"] = args.operands;
    const { data, peers, id } = args.flags;
    try {
      if (data !== undefined) return await restoreOffline(args, file, readMembers(args));
      if (peers === undefined && id === undefined) return await restoreOnline(args, file);
    } catch (error) {
      if (error instanceof MalformedBytes) return unsound(args, "restore", file, error);
      if (!(error instanceof DataDirectoryRefused || error instanceof DiskFailure)) throw error;
      tell(args, "restore", error.message, { code: "failed" });
      return exit.failed;
    }
    throw new BadConfiguration("--peers and --id take effect with --data DIR");
  },
};

async function restoreOnline(args: Arguments, file: string): Promise<number> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of bytesOf(file)) {
    pieces.push(piece);
    length += piece.length;
    if (length > restoreBytesMax) {
      throw new BadConfiguration(
        `FILE takes at most ${restoreBytesMax} bytes for a running cluster: restore it with --data`,
      );
    }
  }
  const backup = concat(pieces);
  await checkBackup(piecesOf(backup));
  const flags = { timeout: TIMEOUT_DEFAULT, ...args.flags };
  const { revision, keys } = await clientFrom({ ...args, flags }).restore(backup);
  await printAnswer(args, { revision, keys }, `restored: revision ${revision}, ${keys} keys\n`);
  return exit.done;
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}

async function restoreOffline(
  args: Arguments,
  file: string,
  members: readonly RestoredPeer[],
): Promise<number> {
  const { birthOf, drawIncarnation } = await import("../../runtimes/birth.ts");
  const newborn = members.map((member) => ({ ...member, incarnation: drawIncarnation() }));
  const urls = Object.fromEntries(newborn.map(({ id, url }) => [id, url]));
  const lives = Object.fromEntries(newborn.map(({ id, incarnation }) => [id, incarnation]));
  const cluster = birthOf(urls, lives);
  const { machine, summary } = await loadBackup(await openBackup(bytesOf(file)));
  const made = newborn.map(({ id, incarnation, directory }) => ({ id, incarnation, directory }));
  await makeDirectories(new NodeFileSystem(), made, { machine, cluster });
  const { revision, keys } = summary;
  const { clusterId } = cluster;
  const directories = made.map(({ id, directory }) => ({ id, directory }));
  const lines = directories.map((one) => `${one.id}: ${shown(one.directory)}\n`).join("");
  await printAnswer(
    args,
    { clusterId, revision, keys, members: directories },
    `cluster ${clusterId} at revision ${revision}, with ${keys} keys\n${lines}`,
  );
  return exit.done;
}

interface RestoredPeer {
  readonly id: string;
  readonly url: string;
  readonly directory: string;
}

/** @throws {BadConfiguration} */
function readMembers(args: Arguments): readonly RestoredPeer[] {
  const directory = args.flags["data"];
  if (directory === undefined || directory === "") throw new BadConfiguration("--data takes DIR");
  const given = readFlag(args, "peers", peers, peersSchema);
  if (given === undefined) {
    throw new BadConfiguration(
      `restore --data takes --peers, the new cluster's members: ${peers.takes}`,
    );
  }
  const own = readFlag(args, "id", id, idSchema);
  const all = Object.entries(given).map(([id, url]) => ({ id, url }));
  if (own === undefined) {
    return all.map((one) => ({ ...one, directory: `${directory}/${one.id}` }));
  }
  const [only] = all;
  if (only === undefined || all.length > 1 || only.id !== own) {
    throw new BadConfiguration(
      `--id takes effect with this member alone in --peers: of several, each has a directory below DIR`,
    );
  }
  return [{ ...only, directory }];
}
