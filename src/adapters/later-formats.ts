/**
 * Files of a later release's. Decay is mended, and what can't be read is put aside for that; what a later release wrote
 * is not to be mistaken for decay.
 */
import { DataDirectoryRefused } from "../errors.ts";
import type { FileSystem } from "../ports.ts";
import { SNAPSHOT_NAME } from "./snapshot-check.ts";
import { SEGMENT_NAME } from "./wal-recovery.ts";

/** What the files begin with, up to the digit that says their format; `wal-frame.ts` and `snapshot-format.ts` have 1. */
const beginnings = [
  { folder: "wal", name: SEGMENT_NAME, magic: "HOLDWAL" },
  { folder: "snapshots", name: SNAPSHOT_NAME, magic: "HOLDSNP" },
] as const;

/** Formats come one at a time, and two bits of the next one's digit are not ours: a flipped one doesn't make it. */
const LATER = "2";

/** @throws {DataDirectoryRefused} */
export async function refuseLaterFormats(fs: FileSystem, directory: string): Promise<void> {
  const folders = await fs.list(directory);
  for (const { folder, name, magic } of beginnings) {
    if (!folders.includes(folder)) continue;
    for (const found of await fs.list(`${directory}/${folder}`)) {
      if (!name.test(found)) continue;
      const path = `${directory}/${folder}/${found}`;
      if ((await beginningOf(fs, path, magic.length + 1)) !== magic + LATER) continue;
      throw new DataDirectoryRefused(
        `${path} is of format ${LATER}: a later release has written it, and this one reads format 1; start this node ` +
          "with the release that it ran last",
      );
    }
  }
}

async function beginningOf(fs: FileSystem, path: string, bytes: number): Promise<string> {
  const file = await fs.open(path, "read");
  try {
    return new TextDecoder("latin1").decode(await file.read(0, bytes));
  } finally {
    await file.close();
  }
}
