/** Which of a directory's snapshots are sound, read in full. Changes nothing. */
import { crc32 } from "node:zlib";
import { MalformedBytes } from "../errors.ts";
import type { FileSystem } from "../ports.ts";
import type { Configuration, SnapshotMeta } from "../raft/types.ts";
import { readChunks, readHeader, type SnapshotSource, sourceOf } from "./snapshot-format.ts";

/** What snapshots are called: `snapshot-<index>-<term>.snap`, 16 hex digits each. */
export const SNAPSHOT_NAME: RegExp = /^snapshot-[0-9a-f]{16}-[0-9a-f]{16}\.snap$/;

/** A disk that reads the same bytes so often has them. */
const READINGS = 3;

export interface SnapshotsJudged {
  /** The newest that is sound. */
  readonly sound: SnapshotMeta | null;
  /** The names of those that are newer, and not. */
  readonly damaged: readonly string[];
  /** What sound headers say of the members, whatever stands behind them. */
  readonly configurations: readonly Configuration[];
}

/** The name of a snapshot's file. */
export function snapshotName(
  { index, term }: { readonly index: number; readonly term: number },
): string {
  return `snapshot-${hex(index)}-${hex(term)}.snap`;
}

/** 16 hex digits. */
export function hex(value: number): string {
  return value.toString(16).padStart(16, "0");
}

/** Reads a snapshot to its end; its name is part of it. @throws {MalformedBytes} */
export async function checkSnapshot(source: SnapshotSource, name: string): Promise<SnapshotMeta> {
  const header = await readHeader(source);
  if (snapshotName(header.meta) !== name) {
    throw new MalformedBytes(`this is ${snapshotName(header.meta)} under another name`, 16);
  }
  for await (const chunk of readChunks(source, header)) void chunk;
  return header.meta;
}

/** Null where the disk says something else each time: then nothing is known, and nothing must be thrown away. */
export async function judgeSnapshots(
  fs: FileSystem,
  directory: string,
): Promise<SnapshotsJudged | null> {
  await fs.makeDirectory(directory);
  const damaged: string[] = [];
  const configurations: Configuration[] = [];
  const names = (await fs.list(directory)).filter((name) => SNAPSHOT_NAME.test(name));
  for (const name of names.reverse()) {
    const first = await reading(fs, directory, name);
    for (let n = 1; n < READINGS; n++) {
      if ((await reading(fs, directory, name)).crc !== first.crc) return null;
    }
    if (first.configuration !== null) configurations.push(first.configuration);
    if (first.sound !== null) return { sound: first.sound, damaged, configurations };
    damaged.push(name);
  }
  return { sound: null, damaged, configurations };
}

async function reading(fs: FileSystem, directory: string, name: string) {
  const file = await fs.open(`${directory}/${name}`, "read");
  try {
    const plain = await sourceOf(file);
    let crc = 0;
    const source: SnapshotSource = {
      size: plain.size,
      read: async (offset, length, into) => {
        const bytes = await plain.read(offset, length, into);
        crc = crc32(bytes, crc);
        return bytes;
      },
    };
    let configuration: Configuration | null = null;
    let sound: SnapshotMeta | null = null;
    try {
      configuration = (await readHeader(source)).meta.configuration;
      sound = await checkSnapshot(source, name);
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
    }
    return { crc, configuration, sound };
  } finally {
    await file.close();
  }
}
