/**
 * Snapshots, whole ones and parts being received, damaged at rest, exhaustively.
 *
 * Oracle. Of a file that is damaged in any way, nothing but `CorruptData` comes, and never another byte than was
 * written. A transfer that was damaged is completed by sending again from where it says.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { CorruptData, DiskFailure } from "../../src/errors.ts";
import { EXHAUSTIVE, flipped, SECTOR_BYTES, sectorZeroed } from "./disk-samples.ts";
import {
  chunksOf,
  complete,
  contents,
  emitted,
  metaAt,
  openSnapshots as open,
  sent,
} from "./snapshot-samples.ts";

/** Opens and reads all, and says what came: "corrupt" only if nothing wrong came before it. */
async function verdict(fs: MemoryFileSystem, chunks: readonly Uint8Array[]): Promise<string> {
  let seen = 0;
  try {
    const store = await open(fs);
    for await (const chunk of store.read()) {
      assert(Buffer.compare(chunk, chunks[seen] ?? Buffer.of()) === 0, "other bytes came as valid");
      seen++;
    }
  } catch (error) {
    assert(error instanceof CorruptData, String(error));
    assert.match(error.message, /nothing was changed; restore the file/);
    return "corrupt";
  }
  assert.equal(seen, chunks.length, "chunks are missing");
  return "whole";
}

describe("snapshot, damaged at rest", () => {
  const chunks = chunksOf([5, 60, 100]);
  const fs = new MemoryFileSystem();
  let path = "";
  let bytes = new Uint8Array();
  const { stackTraceLimit } = Error;
  before(async () => {
    Error.stackTraceLimit = 0;
    await (await open(fs)).write(metaAt(3, 2), emitted(chunks));
    path = fs.paths()[0] ?? "";
    bytes = new Uint8Array(fs.peek(path));
  });
  after(() => {
    Error.stackTraceLimit = stackTraceLimit;
  });

  it("is refused for every bit flipped", EXHAUSTIVE, async () => {
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      fs.poke(path, flipped(bytes, bit));
      assert.equal(await verdict(fs, chunks), "corrupt", `bit ${bit}`);
    }
    console.log(`snapshot bits flipped: ${8 * bytes.length}`);
  });

  it("is refused for every other length", EXHAUSTIVE, async () => {
    for (let length = 0; length < bytes.length + 9; length++) {
      const cut = new Uint8Array(length);
      cut.set(bytes.subarray(0, length));
      fs.poke(path, cut);
      const expected = length === bytes.length ? "whole" : "corrupt";
      assert.equal(await verdict(fs, chunks), expected, `${length} bytes`);
      // Already when it is opened: nothing is acknowledged on the strength of it.
      if (expected === "corrupt") await assert.rejects(open(fs), CorruptData);
    }
    console.log(`snapshot lengths: ${bytes.length + 8}`);
  });

  it("is refused for every sector zeroed", async () => {
    const large = new MemoryFileSystem();
    const written = chunksOf([1000, 30, 5000]);
    await (await open(large)).write(metaAt(3, 2), emitted(written));
    const whole = large.peek(path);
    const sectors = Math.ceil(whole.length / SECTOR_BYTES);
    for (let sector = 0; sector < sectors; sector++) {
      large.poke(path, sectorZeroed(whole, sector));
      assert.equal(await verdict(large, written), "corrupt", `sector ${sector}`);
    }
    console.log(`snapshot sectors zeroed: ${sectors}`);
  });

  it("is refused under another snapshot's name, and with chunks in another order", async () => {
    let other = new MemoryFileSystem();
    const renamed = path.replace("3-", "4-");
    assert.notEqual(renamed, path);
    other.poke(renamed, bytes);
    assert.equal(await verdict(other, chunks), "corrupt");
    const twins = chunksOf([64, 64]);
    other = new MemoryFileSystem();
    const store = await open(other);
    await store.write(metaAt(3, 2), emitted(twins));
    const file = other.peek(path);
    const at = file.length - 36 - 2 * 72;
    const [first, second] = [file.slice(at, at + 72), file.slice(at + 72, at + 144)];
    file.set(second, at);
    file.set(first, at + 72);
    other.poke(path, file);
    assert.equal(await verdict(other, twins), "corrupt");
  });

  it("is not replaced by an older one that is whole, and nothing is removed", async () => {
    const both = new MemoryFileSystem();
    await (await open(both)).write(metaAt(2, 2), emitted(chunks));
    both.poke(path, flipped(bytes, 99));
    const names = both.paths();
    await assert.rejects(open(both), CorruptData);
    assert.deepEqual(both.paths(), names);
    assert.equal(names.length, 2);
  });

  it(
    "is given up when it is resurrected beside a newer one, sound or not",
    EXHAUSTIVE,
    async () => {
      const newer = fs.clone();
      newer.poke(path, bytes);
      const written = chunksOf([40]);
      await (await open(newer)).write(metaAt(4, 2), emitted(written));
      assert(!newer.paths().includes(path));
      let count = 0;
      for (let bit = -1; bit < 8 * bytes.length; bit += 7) {
        const copy = newer.clone();
        copy.poke(path, bit < 0 ? bytes : flipped(bytes, bit));
        for (let time = 0; time < 2; time++) {
          const store = await open(copy);
          assert.equal(store.latest()?.index, 4, `bit ${bit}`);
          assert.deepEqual(await contents(store), written);
          assert.deepEqual(copy.paths(), newer.paths());
          copy.crash();
          copy.restart();
        }
        count++;
      }
      console.log(`older snapshots resurrected beside a newer one: ${count}`);
    },
  );

  it("is a failed disk, not a snapshot, when it reads back otherwise than it was written", async () => {
    const lying = new MemoryFileSystem();
    const store = await open(lying);
    await store.write(metaAt(2, 2), emitted(chunks));
    lying.intercept = ({ operation, path }) => {
      if (operation !== "read" || !path.endsWith(".tmp")) return "proceed";
      lying.scribble(path, 300, Uint8Array.of(0xee));
      return "proceed";
    };
    await assert.rejects(store.write(metaAt(3, 2), emitted(chunks)), DiskFailure);
    assert.equal(store.latest()?.index, 2);
    assert.deepEqual(await contents(store), chunks);
  });
});

describe("snapshot being received", () => {
  async function interrupted() {
    const incoming = await sent(9, 2, [5, 40, 20]);
    const fs = new MemoryFileSystem();
    const staged = await (await open(fs)).stage(incoming.identity);
    await staged.write(incoming.bytes.subarray(0, incoming.bytes.length - 50));
    const path = fs.paths()[0] ?? "";
    return { incoming, fs, path, part: fs.peek(path) };
  }

  it("is completed after any bit of the part has flipped", EXHAUSTIVE, async () => {
    const { incoming, fs, path, part } = await interrupted();
    for (let bit = 0; bit < 8 * part.length; bit++) {
      const copy = fs.clone();
      copy.poke(path, flipped(part, bit));
      assert(await complete(copy, incoming) <= bit >> 3, `bit ${bit}`);
    }
    console.log(`snapshot parts with a bit flipped: ${8 * part.length}`);
  });

  it("is completed after any of the part was lost", EXHAUSTIVE, async () => {
    const { incoming, fs, path, part } = await interrupted();
    let resumed = 0;
    for (let length = 0; length <= part.length; length++) {
      const copy = fs.clone();
      copy.poke(path, part.slice(0, length));
      const offset = await complete(copy, incoming);
      assert(offset <= length, `${length} bytes`);
      resumed = Math.max(resumed, offset);
    }
    assert(resumed > part.length / 2, "nothing was ever resumed");
    console.log(`snapshot parts cut off: ${part.length + 1}`);
  });

  it("is completed after any sector of the part was zeroed", async () => {
    const incoming = await sent(9, 2, [1000, 30, 700, 5000]);
    let resumed = 0;
    let count = 0;
    for (let length = SECTOR_BYTES; length < incoming.bytes.length; length += 300) {
      const part = incoming.bytes.slice(0, length);
      for (let sector = 0; sector * SECTOR_BYTES < length; sector++) {
        const copy = new MemoryFileSystem();
        await (await open(copy)).stage(incoming.identity);
        copy.poke(copy.paths()[0] ?? "", sectorZeroed(part, sector));
        const offset = await complete(copy, incoming);
        assert(offset <= sector * SECTOR_BYTES, `sector ${sector} of ${length} bytes`);
        resumed = Math.max(resumed, offset);
        count++;
      }
    }
    assert(resumed > 1000, "nothing was ever resumed");
    console.log(`snapshot parts with a sector zeroed: ${count}`);
  });

  it("is begun anew when what stands in the part is longer than it is", async () => {
    const { incoming, fs, path } = await interrupted();
    fs.poke(path, (await sent(9, 2, [5, 40, 21])).bytes);
    assert.equal(await complete(fs, incoming), 0);
  });

  it("is given up when the node has a newer one", async () => {
    const { fs, incoming } = await interrupted();
    const { index, term } = incoming.identity;
    await (await open(fs)).write(metaAt(index - 1, term), emitted([]));
    await open(fs);
    assert.equal(fs.paths().length, 2);
    await (await open(fs)).write(metaAt(index, term), emitted([]));
    await open(fs);
    assert.equal(fs.paths().length, 1);
  });
});
