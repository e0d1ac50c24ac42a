/** `snapshot`: what a node's snapshots hold, and whether they are sound. */
import { basename, join } from "node:path";
import { NodeFileSystem } from "../adapters/node-fs.ts";
import { checkSnapshot, SNAPSHOT_NAME } from "../adapters/snapshot-check.ts";
import { readChunks, readHeader, sourceOf } from "../adapters/snapshot-format.ts";
import { BadConfiguration, MalformedBytes } from "../errors.ts";
import { KvMachine } from "../kv/machine.ts";
import type { SnapshotMeta } from "../raft/types.ts";
import type { Command } from "./command.ts";
import { isFile, partOf, tellOfRunning } from "./data-files.ts";
import { exit, jsonFlag, print, printAnswer, shown, tell, wantsJson } from "./output.ts";

/** `snapshot`. */
export const snapshot: Command = {
  summary: "look into a node's snapshots, and check them",
  help: `holdfast snapshot inspect DIR|FILE

Reads a snapshot, or all in DIR, a node's data directory or a copy of it, to the end, and changes
nothing. Prints what each stands for: the index and term of the last entry in it, the members, and
the store. It takes the memory of the store.

  --json             print it as JSON, and an error as one JSON line on standard error

Exit status: 0 all are sound, 1 one is damaged: the offset says where, 2 wrong command line, or
there is no snapshot, 7 it can't be read.
`,
  syntax: { flags: { json: jsonFlag }, operands: ["ACTION", "DIR|FILE"] },
  run: async (args) => {
    const [action = "", place = ""] = args.operands;
    if (action !== "inspect") {
      throw new BadConfiguration(`snapshot takes inspect; got ${JSON.stringify(action)}`);
    }
    const fs = new NodeFileSystem();
    const paths = await pathsOf(fs, place);
    if (paths.length === 0) {
      throw new BadConfiguration(`DIR takes a directory with a snapshot; got ${shown(place)}`);
    }
    const running = isFile(place) ? null : tellOfRunning(args, partOf(place, "snapshots"));
    const found: object[] = [];
    let isSound = true;
    for (const path of paths) {
      const file = await fs.open(path, "read");
      try {
        const inspected = await inspect(path, await sourceOf(file));
        found.push({ file: path, sound: true, ...documentOf(inspected) });
        if (!wantsJson(args)) await print(textOf(path, inspected));
      } catch (error) {
        if (!(error instanceof MalformedBytes)) throw error;
        isSound = false;
        const { message: detail, offset } = error;
        found.push({ file: path, sound: false, offset, detail });
        if (!wantsJson(args)) tell(args, "snapshot", `${path} is damaged: ${detail}`);
      }
    }
    if (wantsJson(args)) await printAnswer(args, { running, snapshots: found }, "");
    return isSound ? exit.done : exit.no;
  },
};

interface Inspected {
  readonly meta: SnapshotMeta;
  readonly machine: KvMachine;
  readonly bytes: number;
}

/** @throws {BadConfiguration} */
async function pathsOf(fs: NodeFileSystem, place: string): Promise<readonly string[]> {
  if (isFile(place)) return [place];
  const directory = partOf(place, "snapshots");
  const names = (await fs.list(directory)).filter((name) => SNAPSHOT_NAME.test(name));
  return names.map((name) => join(directory, name));
}

/** @throws {MalformedBytes} */
async function inspect(
  path: string,
  source: Awaited<ReturnType<typeof sourceOf>>,
): Promise<Inspected> {
  const name = basename(path);
  // A copy may have another name.
  if (SNAPSHOT_NAME.test(name)) await checkSnapshot(source, name);
  const header = await readHeader(source);
  const machine = new KvMachine();
  await machine.restore(readChunks(source, header));
  return { meta: header.meta, machine, bytes: source.size };
}

function documentOf({ meta, machine, bytes }: Inspected): object {
  const { index, term, configuration } = meta;
  const { store, version, access } = machine;
  return {
    index,
    term,
    configuration,
    bytes,
    version,
    revision: store.revision,
    oldest: store.floor,
    keys: store.size,
    leases: [...machine.leases()].length,
    roles: [...access.roles()].length,
    tokens: [...access.tokens()].length,
  };
}

function textOf(path: string, { meta, machine, bytes }: Inspected): string {
  const { index, term, configuration } = meta;
  const { store, version } = machine;
  const leases = [...machine.leases()].length;
  const { voters, learners } = configuration;
  const members = `voters ${voters.join(", ")}` +
    (learners.length === 0 ? "" : `; learners ${learners.join(", ")}`);
  return `${shown(path)}: sound, ${bytes} bytes
  log: up to entry ${index} of term ${term}; ${members}
  store: revision ${store.revision}, ${store.size} keys, ${leases} leases; history goes back to ` +
    `revision ${store.floor}; cluster version ${version}\n`;
}
