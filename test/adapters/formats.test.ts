import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { type DataDirectory, openDataDirectory } from "../../src/adapters/data-directory.ts";
import { MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { DataDirectoryRefused } from "../../src/errors.ts";

const path = "data/n1";
const small = { segmentBytes: 64 * 1024 };
const newborn = { id: "n1", incarnation: "life-1" };
const cluster = {
  clusterId: "c1",
  birth: {
    voters: ["n1"],
    outgoing: [],
    learners: [],
    urls: { n1: "http://127.0.0.1:1" },
    incarnations: { n1: "life-1" },
  },
};

function open(fs: MemoryFileSystem): Promise<DataDirectory> {
  return openDataDirectory(fs, path, newborn, small);
}

async function close({ wal, release }: DataDirectory): Promise<void> {
  await wal.close();
  await release();
}

function text(fs: MemoryFileSystem): string {
  return new TextDecoder().decode(fs.peek(`${path}/identity.json`));
}

/** What a release wrote that goes on as ours do. */
function ofFormat(fs: MemoryFileSystem, format: number): Uint8Array {
  const { crc: _, ...document } = JSON.parse(text(fs));
  const later = { ...document, format };
  return new TextEncoder().encode(
    JSON.stringify({ ...later, crc: crc32(JSON.stringify(later)) }),
  );
}

async function refusal(fs: MemoryFileSystem): Promise<string> {
  try {
    await close(await open(fs));
  } catch (error) {
    assert.ok(error instanceof DataDirectoryRefused, String(error));
    return error.message;
  }
  return "nothing was refused";
}

describe("a data directory's format", () => {
  it("is 1, which 0.1.0 reads, until it is raised, and then for ever 2", async () => {
    const fs = new MemoryFileSystem({ random: () => 0 });
    const first = await open(fs);
    await first.enter(cluster);
    assert.equal(first.format, 1);
    assert.match(text(fs), /"format": 1,/);
    await first.raise(2);
    assert.equal(first.format, 2);
    fs.crash();
    fs.restart();
    const second = await open(fs);
    assert.deepEqual([second.format, second.cluster?.clusterId], [2, "c1"]);
    await second.raise(1);
    await Promise.all([second.leave(cluster), second.raise(2)]);
    await close(second);
    const third = await open(fs);
    assert.deepEqual([third.format, third.wasRemoved], [2, true]);
  });

  it("outlives a power cut at any call of its raising, as the old one or the new one", async () => {
    for (let call = 1;; call++) {
      const fs = new MemoryFileSystem({ random: () => 0 });
      const opened = await open(fs);
      await opened.enter(cluster);
      let calls = 0;
      fs.intercept = () => ++calls === call ? "crash" : "proceed";
      const raised = await opened.raise(2).then(() => true, () => false);
      fs.intercept = () => "proceed";
      fs.crash();
      fs.restart();
      const again = await open(fs);
      assert.equal(again.cluster?.clusterId, "c1");
      if (raised) assert.equal(again.format, 2);
      else assert.ok(again.format === 1 || again.format === 2);
      if (calls < call) break;
    }
  });

  it("is refused where a later release wrote it, which says so and changes nothing", async () => {
    const fs = new MemoryFileSystem();
    const opened = await open(fs);
    await opened.enter(cluster);
    await close(opened);
    fs.poke(`${path}/identity.json`, ofFormat(fs, 3));
    const before = text(fs);
    assert.match(await refusal(fs), /identity\.json is of format 3: a later release has written/);
    assert.equal(text(fs), before);
  });

  it("is a later one's also where only a segment or a snapshot is: it isn't mended as decay is", async () => {
    for (
      const [folder, name, magic] of [
        ["wal", "wal-0000000000000007.log", "HOLDWAL2"],
        ["snapshots", "snapshot-0000000000000007-0000000000000001.snap", "HOLDSNP2"],
      ] as const
    ) {
      const fs = new MemoryFileSystem();
      const opened = await open(fs);
      await opened.enter(cluster);
      await close(opened);
      fs.poke(`${path}/${folder}/${name}`, new TextEncoder().encode(magic.padEnd(600)));
      assert.match(await refusal(fs), new RegExp(`${name} is of format 2: a later release`));
      assert.deepEqual(await fs.list(path), ["identity.json", "snapshots", "wal"]);
    }
  });
});
