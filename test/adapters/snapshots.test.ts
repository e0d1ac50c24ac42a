/** One suite for every implementation of the port SnapshotStore. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openFileSnapshots } from "../../src/adapters/file-snapshots.ts";
import { MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { openMemorySnapshots } from "../../src/adapters/memory-snapshots.ts";
import { NodeFileSystem } from "../../src/adapters/node-fs.ts";
import { InvariantViolation } from "../../src/assert.ts";
import { MalformedBytes } from "../../src/errors.ts";
import type { SnapshotStore } from "../../src/ports.ts";
import { chunksOf, contents, emitted, metaAt, sent, snapshotBytes } from "./snapshot-samples.ts";

const implementations: {
  name: string;
  run: (test: (open: () => Promise<SnapshotStore>) => Promise<void>) => Promise<void>;
}[] = [
  {
    name: "FileSnapshots on MemoryFileSystem",
    run: async (test) => {
      const fs = new MemoryFileSystem();
      await test(() => openFileSnapshots({ fs, directory: "/data/snapshots" }));
    },
  },
  {
    name: "FileSnapshots on NodeFileSystem",
    run: async (test) => {
      const directory = await mkdtemp(join(tmpdir(), "holdfast-snapshots-"));
      try {
        await test(() => openFileSnapshots({ fs: new NodeFileSystem(), directory }));
      } finally {
        await rm(directory, { recursive: true });
      }
    },
  },
  {
    name: "MemorySnapshots",
    run: async (test) => {
      const store = openMemorySnapshots();
      await test(async () => store);
    },
  },
];

for (const { name, run } of implementations) {
  describe(`SnapshotStore: ${name}`, () => {
    it("holds nothing at first", () =>
      run(async (open) => {
        const store = await open();
        assert.equal(store.latest(), null);
        assert.equal(await store.openFile(), null);
        assert.deepEqual(await contents(store), []);
      }));

    it("gives back the newest, chunk by chunk, also when opened again", () =>
      run(async (open) => {
        const sizes = [[1], [300_000, 5, 0, 70_000], []];
        for (const [i, lengths] of sizes.entries()) {
          const store = await open();
          const chunks = chunksOf(lengths);
          await store.write(metaAt(10 + i, 3), emitted(chunks));
          const written = chunks.filter((chunk) => chunk.length > 0);
          for (const each of [store, await open()]) {
            assert.deepEqual(each.latest(), metaAt(10 + i, 3));
            assert.deepEqual(await contents(each), written);
          }
        }
      }));

    it("keeps the newest when an older one is written after it", () =>
      run(async (open) => {
        const store = await open();
        await store.write(metaAt(20, 3), emitted(chunksOf([7])));
        await store.write(metaAt(19, 3), emitted(chunksOf([8])));
        assert.equal(store.latest()?.index, 20);
        assert.deepEqual(await contents(await open()), chunksOf([7]));
      }));

    it("goes on reading an open one when a newer one replaces it", () =>
      run(async (open) => {
        const store = await open();
        await store.write(metaAt(1, 1), emitted(chunksOf([1000, 300_000])));
        const file = await store.openFile();
        const reading = store.read()[Symbol.asyncIterator]();
        assert.equal((await reading.next()).value?.length, 1000);
        await store.write(metaAt(2, 1), emitted(chunksOf([3])));
        assert.equal((await reading.next()).value?.length, 300_000);
        assert.equal((await reading.next()).done, true);
        assert(file !== null);
        assert.equal(file.meta.index, 1);
        assert.equal((await file.read(0, file.size)).length, file.size);
        await file.close();
      }));

    it("passes on what the machine throws, and keeps the one it had", () =>
      run(async (open) => {
        const store = await open();
        await store.write(metaAt(1, 1), emitted(chunksOf([9])));
        const broken = async function* () {
          yield new Uint8Array(10);
          throw new RangeError("the machine's own");
        };
        await assert.rejects(store.write(metaAt(2, 1), broken()), RangeError);
        for (const each of [store, await open()]) assert.equal(each.latest()?.index, 1);
        await store.write(metaAt(3, 1), emitted(chunksOf([9])));
        assert.equal(store.latest()?.index, 3);
      }));

    it("receives another's in pieces, resumes, and installs it", () =>
      run(async (open) => {
        const { identity, bytes, chunks } = await sent(30, 4, [1000, 60_000, 5]);
        const store = await open();
        await store.write(metaAt(2, 1), emitted(chunksOf([9])));
        const staged = await store.stage(identity);
        assert.equal(staged.offset, 0);
        await staged.write(bytes.subarray(0, 40_000));
        assert.equal(staged.offset, 40_000);
        const again = await open();
        const resumed = await again.stage(identity);
        assert(resumed.offset > 1000 && resumed.offset <= 40_000, `resumes at ${resumed.offset}`);
        await assert.rejects(resumed.finish(), MalformedBytes);
        while (resumed.offset < bytes.length) {
          await resumed.write(bytes.subarray(resumed.offset, resumed.offset + 7000));
        }
        assert.deepEqual(await resumed.finish(), metaAt(30, 4));
        assert.equal(again.latest()?.index, 2);
        await again.install(metaAt(30, 4));
        for (const each of [again, await open()]) {
          assert.deepEqual(each.latest(), metaAt(30, 4));
          assert.deepEqual(await contents(each), chunks);
        }
      }));

    it("refuses to finish what is damaged, too long, or another one", () =>
      run(async (open) => {
        const store = await open();
        const { identity, bytes } = await sent(30, 4, [100]);
        const staged = await store.stage(identity);
        const damaged = bytes.slice();
        damaged[bytes.length - 60] = (damaged[bytes.length - 60] ?? 0) ^ 4;
        await staged.write(damaged);
        await assert.rejects(staged.write(Uint8Array.of(0)), MalformedBytes);
        await assert.rejects(staged.finish(), MalformedBytes);
        await staged.discard();
        const other = await store.stage({ ...identity, index: 31 });
        assert.equal(other.offset, 0);
        await other.write(bytes);
        await assert.rejects(other.finish(), /30@4 came for 31@4/);
        await other.discard();
        const right = await store.stage(identity);
        assert.equal(right.offset, 0);
        await right.write(bytes);
        await right.finish();
        await store.install(metaAt(30, 4));
        assert.equal(store.latest()?.index, 30);
      }));

    it("installs nothing that was not finished", () =>
      run(async (open) => {
        const store = await open();
        await assert.rejects(store.install(metaAt(30, 4)), InvariantViolation);
        const { identity, bytes } = await sent(30, 4, [100]);
        const staged = await store.stage(identity);
        await staged.write(bytes);
        await assert.rejects(store.install(metaAt(30, 4)), InvariantViolation);
        await staged.finish();
        await assert.rejects(store.install(metaAt(29, 4)), InvariantViolation);
        assert.equal(store.latest(), null);
      }));

    it("sends the bytes that any other implementation takes", () =>
      run(async (open) => {
        const store = await open();
        await store.write(metaAt(7, 2), emitted(chunksOf([100, 200])));
        assert.deepEqual(await snapshotBytes(store), (await sent(7, 2, [100, 200])).bytes);
      }));
  });
}

describe("FileSnapshots", () => {
  it("keep only the newest of the parts that a power cut brought back", async () => {
    const fs = new MemoryFileSystem();
    const directory = "/data/snapshots";
    const parts = (): string[] => fs.paths().filter((path) => path.endsWith(".part"));
    const store = await openFileSnapshots({ fs, directory });
    await store.stage({ index: 5, term: 2, size: 100 });
    const [older = ""] = parts();
    await store.stage({ index: 9, term: 2, size: 100 });
    const [newer] = parts();
    await (await fs.open(older, "create")).close();
    assert.equal(parts().length, 2);
    await openFileSnapshots({ fs, directory });
    assert.deepEqual(parts(), [newer]);
  });
});
