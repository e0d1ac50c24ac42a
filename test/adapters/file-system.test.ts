import assert from "node:assert/strict";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { faultAt, MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { NodeFileSystem } from "../../src/adapters/node-fs.ts";
import { DataDirectoryRefused } from "../../src/errors.ts";
import type { FileSystem } from "../../src/ports.ts";

const implementations = [
  {
    name: "NodeFileSystem",
    create: async () => {
      const directory = await mkdtemp(join(tmpdir(), "holdfast-fs-"));
      const done = () => rm(directory, { recursive: true });
      return { fs: new NodeFileSystem() as FileSystem, directory, done };
    },
  },
  {
    name: "MemoryFileSystem",
    create: async () => {
      const fs: FileSystem = new MemoryFileSystem();
      await fs.makeDirectory("/d");
      return { fs, directory: "/d", done: async () => {} };
    },
  },
];

const code = (expected: string) => (error: unknown) =>
  error instanceof Error && "code" in error && error.code === expected;
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (string: string): Uint8Array => new TextEncoder().encode(string);

for (const { name, create } of implementations) {
  describe(`FileSystem: ${name}`, () => {
    let fs: FileSystem;
    let directory = "";
    let done = async () => {};
    before(async () => {
      ({ fs, directory, done } = await create());
    });
    after(() => done());
    const path = (file: string) => `${directory}/${file}`;

    it("creates only what does not exist, and opens only what does", async () => {
      await assert.rejects(fs.open(path("a"), "read"), code("ENOENT"));
      await assert.rejects(fs.open(path("a"), "write"), code("ENOENT"));
      await (await fs.open(path("a"), "create")).close();
      await assert.rejects(fs.open(path("a"), "create"), code("EEXIST"));
      await assert.rejects(fs.open(path("none/a"), "create"), code("ENOENT"));
      await (await fs.open(path("a"), "read")).close();
      await fs.remove(path("a"));
      await assert.rejects(fs.remove(path("a")), code("ENOENT"));
    });

    it("says how much room there is", async () => {
      assert.ok(await fs.space(directory) > 0);
    });

    it("writes buffers one behind the other and reads them back", async () => {
      const file = await fs.open(path("b"), "create");
      await file.writev([bytes("one"), bytes(""), bytes("two")], 0);
      await file.writev([bytes("XY")], 2);
      await file.writev([], 0);
      await file.datasync();
      assert.equal(text(await file.read(0, 100)), "onXYwo");
      assert.equal(text(await file.read(1, 3)), "nXY");
      assert.equal((await file.read(6, 10)).length, 0);
      assert.equal(await file.size(), 6);
      await file.close();
      const again = await fs.open(path("b"), "write");
      await again.writev([bytes("!")], 6);
      assert.equal(text(await again.read(0, 100)), "onXYwo!");
      await again.close();
      await assert.rejects(again.size(), /./);
      await fs.remove(path("b"));
    });

    it("writes more buffers than the system takes at once", async () => {
      const file = await fs.open(path("c"), "create");
      const buffers = Array.from({ length: 3000 }, (_, i) => Uint8Array.of(i, i >> 8));
      await file.writev(buffers, 5);
      const all = await file.read(5, 10_000);
      assert.deepEqual(Buffer.from(all), Buffer.concat(buffers));
      await file.close();
      await fs.remove(path("c"));
    });

    it("fills with zeros what is skipped or truncated away", async () => {
      const file = await fs.open(path("d"), "create");
      await file.writev([bytes("abcdef")], 2);
      await file.truncate(4);
      await file.truncate(6);
      assert.equal(text(await file.read(0, 10)), "\0\0ab\0\0");
      await file.close();
      await fs.remove(path("d"));
    });

    it("lists names in order, and renames over what is there", async () => {
      await fs.makeDirectory(path("e/deep"));
      await fs.makeDirectory(path("e/deep"));
      for (const name of ["z", "m", "a"]) {
        await (await fs.open(path(`e/${name}`), "create")).close();
      }
      const old = await fs.open(path("e/m"), "read");
      await fs.rename(path("e/z"), path("e/m"));
      assert.equal(await old.size(), 0);
      await old.close();
      await fs.syncDirectory(path("e"));
      assert.deepEqual(await fs.list(path("e")), ["a", "deep", "m"]);
      await assert.rejects(fs.rename(path("e/z"), path("e/y")), code("ENOENT"));
      await assert.rejects(fs.list(path("none")), code("ENOENT"));
      await assert.rejects(fs.syncDirectory(path("none")), code("ENOENT"));
      await assert.rejects(fs.makeDirectory(path("e/a")), code("EEXIST"));
    });

    it("keeps an open file readable when it is removed", async () => {
      const file = await fs.open(path("f"), "create");
      await file.writev([bytes("still")], 0);
      await fs.remove(path("f"));
      assert.equal(text(await file.read(0, 9)), "still");
      await file.close();
    });

    it("locks a path once within the process, until released", async () => {
      const release = await fs.lock(path("lock"));
      await assert.rejects(fs.lock(path("lock")), (error) => {
        assert(error instanceof DataDirectoryRefused);
        assert.match(error.message, /already in use by this very process/);
        return true;
      });
      await release();
      await release();
      await (await fs.lock(path("lock")))();
    });
  });
}

describe("NodeFileSystem", () => {
  it("makes files and directories that nobody but their owner may look into", async () => {
    const directory = await mkdtemp(join(tmpdir(), "holdfast-fs-"));
    try {
      const fs = new NodeFileSystem();
      await fs.makeDirectory(`${directory}/a/b`);
      await (await fs.open(`${directory}/a/b/file`, "create")).close();
      const modes = ["a", "a/b", "a/b/file"].map(async (name) =>
        ((await stat(join(directory, name))).mode & 0o777).toString(8)
      );
      assert.deepEqual(await Promise.all(modes), ["700", "700", "600"]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

describe("MemoryFileSystem", () => {
  const sectors = (file: Uint8Array) =>
    Array.from({ length: file.length / 512 }, (_, i) => file[i * 512]).join("");

  async function written(random: () => number): Promise<MemoryFileSystem> {
    const fs = new MemoryFileSystem({ random });
    await fs.makeDirectory("/d");
    const file = await fs.open("/d/f", "create");
    await file.writev([new Uint8Array(2048).fill(1)], 0);
    await file.datasync();
    await fs.syncDirectory("/d");
    await file.writev([new Uint8Array(2048).fill(2)], 0);
    return fs;
  }

  it("loses in a crash what was not synced: nothing, all, or torn by sector", async () => {
    const outcomes: [number[], string][] = [[[0], "1111"], [[0.9], "2222"], [
      [0.5, 0.5, 0.5, 0.4, 0.6, 0.4],
      "1212",
    ]];
    for (const [draws, expected] of outcomes) {
      let next = 0;
      const fs = await written(() => draws[Math.min(next++, draws.length - 1)] ?? 0);
      fs.crash();
      assert.equal(sectors(fs.peek("/d/f")), expected);
    }
  });

  it("keeps in the cache what a killed process wrote, and its locks and handles are gone", async () => {
    const fs = new MemoryFileSystem();
    const release = await fs.lock("/lock");
    const file = await fs.open("/f", "create");
    await file.writev([bytes("kept")], 0);
    fs.kill();
    assert.equal(text(fs.peek("/f")), "kept");
    await assert.rejects(file.size(), code("ECRASHED"));
    await assert.rejects(fs.list("/"), code("ECRASHED"));
    fs.restart();
    await assert.rejects(file.size(), code("ECRASHED"));
    await fs.lock("/lock");
    await release();
    await assert.rejects(fs.lock("/lock"), DataDirectoryRefused);
  });

  it("loses creations, renames and removals that were not synced", async () => {
    const lossy = new MemoryFileSystem({ random: () => 0 });
    for (const name of ["old", "gone"]) await lossy.open(`/${name}`, "create");
    await lossy.syncDirectory("/");
    await lossy.open("/new", "create");
    await lossy.rename("/old", "/renamed");
    await lossy.remove("/gone");
    assert.deepEqual(lossy.paths(), ["/new", "/renamed"]);
    lossy.crash();
    assert.deepEqual(lossy.paths(), ["/gone", "/old"]);
  });

  it("never makes durable what a failed sync dropped, though it stays readable", async () => {
    const fs = await written(() => 0);
    const file = await fs.open("/d/f", "write");
    fs.intercept = faultAt(fs.calls + 1, "once");
    await assert.rejects(file.datasync(), code("EIO"));
    await file.datasync();
    assert.equal(sectors(fs.peek("/d/f")), "2222");
    fs.crash();
    assert.equal(sectors(fs.peek("/d/f")), "1111");
  });

  it("fails the call that it is told to, once or for good, or crashes at it", async () => {
    for (
      const [fault, expected] of [["once", "ok"], ["forGood", "EIO"], ["crash", "ok"]] as const
    ) {
      const fs = new MemoryFileSystem();
      fs.intercept = faultAt(2, fault);
      await fs.list("/");
      await assert.rejects(fs.list("/"), code(fault === "crash" ? "ECRASHED" : "EIO"));
      if (fault === "crash") fs.restart();
      if (expected === "ok") await fs.list("/");
      else await assert.rejects(fs.list("/"), code(expected));
    }
  });

  it("is full at its capacity", async () => {
    const fs = new MemoryFileSystem({ capacity: 10 });
    const file = await fs.open("/f", "create");
    await file.writev([new Uint8Array(10)], 0);
    await file.writev([new Uint8Array(5)], 5);
    await assert.rejects(file.writev([new Uint8Array(6)], 5), code("ENOSPC"));
    await assert.rejects(file.truncate(11), code("ENOSPC"));
  });
});
