import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type FileWal, openFileWal } from "../../src/adapters/file-wal.ts";
import { MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { DiskFailure } from "../../src/errors.ts";
import { START, WriteScript } from "./wal-writes.ts";

const segmentBytes = 64 * 1024;

/** A log whose first segment is past its half, where the next one would be laid out, on a disk without room for it. */
async function beforeTheNext(): Promise<
  { fs: MemoryFileSystem; wal: FileWal; script: WriteScript }
> {
  const fs = new MemoryFileSystem();
  const { wal } = await openFileWal({ fs, directory: "/wal", segmentBytes, start: START });
  const script = new WriteScript();
  fs.capacity = fs.used + segmentBytes - 1;
  while (written(script) < segmentBytes / 2) await wal.append(script.append(1, 900));
  return { fs, wal, script };
}

function written(script: WriteScript): number {
  return script.entries.reduce((sum, { record }) => sum + record.length, 0);
}

const spares = (fs: MemoryFileSystem): string[] =>
  fs.paths().filter((path) => path.endsWith(".tmp"));

describe("a log on a full disk", () => {
  it("goes on as long as its segment lasts, and fails only when it needs the next", async () => {
    const { fs, wal, script } = await beforeTheNext();
    let appended = -1;
    let failure: unknown = null;
    for (; failure === null; appended++) {
      failure = await wal.append(script.append(1, 900)).then(() => null, (error: unknown) => error);
    }
    assert.ok(failure instanceof DiskFailure);
    assert.match(failure.message, /ENOSPC/);
    assert.ok(appended > 25, `${appended} more fitted into the segment`);
    await wal.close();
    fs.capacity = Infinity;
    const again = await openFileWal({ fs, directory: "/wal", segmentBytes, start: START });
    assert.ok(again.recovered.entries.length >= script.entries.length - 1, "nothing is lost");
    assert.deepEqual(spares(fs), [], "what was begun in vain is gone");
    await again.wal.close();
  });

  it("lays the next segment out when there is room again", async () => {
    const { fs, wal, script } = await beforeTheNext();
    assert.deepEqual(spares(fs), []);
    fs.capacity = Infinity;
    for (let write = 0; write < 100; write++) await wal.append(script.append(1, 900));
    assert.ok(fs.paths().filter((path) => path.endsWith(".log")).length > 1);
    await wal.close();
  });
});
