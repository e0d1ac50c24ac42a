/** `restore`: a new cluster out of a backup. */
import { NodeFileSystem } from "../adapters/node-fs.ts";
import { loadBackup } from "../backup/check.ts";
import { makeDirectories } from "../backup/directory.ts";
import { openBackup } from "../backup/format.ts";
import { nodeOptions } from "../config/options.ts";
import { idSchema, peersSchema } from "../config/schemas.ts";
import { BadConfiguration, DataDirectoryRefused, DiskFailure, MalformedBytes } from "../errors.ts";
import type { Arguments } from "./arguments.ts";
import { bytesOf, unsound } from "./backup.ts";
import { type Command, readFlag } from "./command.ts";
import { exit, jsonFlag, printAnswer, shown, tell } from "./output.ts";

const { data, peers, id } = nodeOptions;

/** `restore`. */
export const restore: Command = {
  summary: "make a new cluster's data directories out of a backup",
  help: `holdfast restore FILE --data DIR --peers n1=URL,n2=URL,n3=URL
holdfast restore FILE --data DIR --id n1 --peers n1=URL

Checks a backup and makes a new cluster of it, whose revisions go on behind the backup's: DIR/n1,
DIR/n2 and so on, a data directory for each of the first members, to be moved to where they run and
started as always. With --id and one peer DIR itself is that member's, and others are added to it
later with member add. No node runs meanwhile. Neither the new cluster's nodes nor those of the one
that the backup is of take the other's for theirs, so all old ones may be left off, or go on.

Leases and times to live go on with what they had left. Nothing is made where DIR holds anything.

  --data DIR         where the directories go
  --peers P          the new cluster's first members, as a node's --peers has them
  --id ID            DIR is this member's own directory
  --json             print what was made as JSON, and an error as one JSON line on standard error

Exit status: 0 done, 1 FILE is not sound: nothing was made, 2 wrong command line, or FILE can't be
read, 7 DIR is not empty or can't be written.
`,
  syntax: { flags: { data, peers, id, json: jsonFlag }, operands: ["FILE"] },
  run: async (args) => {
    const [file = "-"] = args.operands;
    const members = readMembers(args);
    const { birthOf, drawIncarnation } = await import("../../runtimes/birth.ts");
    const newborn = members.map((member) => ({ ...member, incarnation: drawIncarnation() }));
    const urls = Object.fromEntries(newborn.map((member) => [member.id, member.url]));
    const lives = Object.fromEntries(newborn.map((member) => [member.id, member.incarnation]));
    const cluster = birthOf(urls, lives);
    try {
      const { machine, summary } = await loadBackup(await openBackup(bytesOf(file)));
      const made = newborn.map(({ url: _, ...member }) => member);
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
    } catch (error) {
      if (error instanceof MalformedBytes) return unsound(args, "restore", file, error);
      if (!(error instanceof DataDirectoryRefused || error instanceof DiskFailure)) throw error;
      tell(args, "restore", error.message, { code: "failed" });
      return exit.failed;
    }
  },
};

interface RestoredPeer {
  readonly id: string;
  readonly url: string;
  readonly directory: string;
}

/** @throws {BadConfiguration} */
function readMembers(args: Arguments): readonly RestoredPeer[] {
  const directory = args.flags["data"];
  if (directory === undefined || directory === "") {
    throw new BadConfiguration("restore takes --data DIR, where the data directories go");
  }
  const given = readFlag(args, "peers", peers, peersSchema);
  if (given === undefined) {
    throw new BadConfiguration(`restore takes --peers, the new cluster's members: ${peers.takes}`);
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
