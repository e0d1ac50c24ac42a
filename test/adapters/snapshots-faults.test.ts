/**
 * Snapshots, damaged at rest and on a failing disk, exhaustively.
 *
 * Oracle. Of a file that is damaged in any way, nothing but `CorruptData` comes, and never another byte than was
 * written. After any failed call or power cut, the newest snapshot is one that was written or installed whole, is at
 * least as new as the last one that was acknowledged, and stays the same over another power cut. A transfer that was
 * interrupted or damaged is completed by sending again from where it says.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openFileSnapshots } from "../../src/adapters/file-snapshots.ts";
import { faultAt, type Intercept, MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { CorruptData, DiskFailure } from "../../src/errors.ts";
import type { SnapshotStore } from "../../src/ports.ts";
import {
  EXHAUSTIVE,
  flipped,
  fullFrom,
  SECTOR_BYTES,
  sectorZeroed,
  seeded,
  typed,
} from "./disk-samples.ts";
import { chunksOf, contents, emitted, metaAt, sent } from "./snapshot-samples.ts";

const DIRECTORY = "/snapshots";
const open = (fs: MemoryFileSystem) => openFileSnapshots({ fs, directory: DIRECTORY });
const range = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

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

  it("is refused for every other length, and every sector zeroed", EXHAUSTIVE, async () => {
    for (let length = 0; length < bytes.length + 9; length++) {
      const cut = new Uint8Array(length);
      cut.set(bytes.subarray(0, length));
      fs.poke(path, cut);
      const expected = length === bytes.length ? "whole" : "corrupt";
      assert.equal(await verdict(fs, chunks), expected, `${length} bytes`);
      // Already when it is opened: nothing is acknowledged on the strength of it.
      if (expected === "corrupt") await assert.rejects(open(fs), CorruptData);
    }
    for (let sector = 0; sector * SECTOR_BYTES < bytes.length; sector++) {
      fs.poke(path, sectorZeroed(bytes, sector));
      assert.equal(await verdict(fs, chunks), "corrupt", `sector ${sector}`);
    }
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

/** A part that was received is damaged; the rest is sent from where the receiver says. */
async function complete(fs: MemoryFileSystem, incoming: Awaited<ReturnType<typeof sent>>) {
  const store = await open(fs);
  const staged = await store.stage(incoming.identity);
  const { offset } = staged;
  await staged.write(incoming.bytes.subarray(offset));
  const meta = await staged.finish();
  await store.install(meta);
  assert.deepEqual(await contents(store), incoming.chunks);
  return offset;
}

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

interface Progress {
  acknowledged: number;
  attempted: number;
}

const WRITTEN = [chunksOf([10, 600]), chunksOf([1200]), chunksOf([7, 7, 7])] as const;

/** Writes 1, receives and installs 2, writes 3; until something fails. */
async function run(fs: MemoryFileSystem, progress: Progress): Promise<void> {
  const incoming = await sent(2, 2, WRITTEN[1].map((chunk) => chunk.length));
  const step = async (index: number, work: (store: SnapshotStore) => Promise<void>) => {
    progress.attempted = index;
    await work(store);
    progress.acknowledged = index;
    assert.equal(store.latest()?.index, index);
  };
  let store: SnapshotStore;
  try {
    store = await open(fs);
    await step(1, (store) => store.write(metaAt(1, 2), emitted(WRITTEN[0])));
    await step(2, async (store) => {
      const staged = await store.stage(incoming.identity);
      const from = staged.offset;
      await staged.write(incoming.bytes.subarray(from, 700));
      await staged.write(incoming.bytes.subarray(700));
      await store.install(await staged.finish());
    });
    await step(3, (store) => store.write(metaAt(3, 2), emitted(WRITTEN[2])));
  } catch (error) {
    typed(error);
  }
}

async function check(fs: MemoryFileSystem, progress: Progress, what: string): Promise<void> {
  fs.intercept = () => "proceed";
  fs.kill();
  fs.restart();
  const found: number[] = [];
  for (let time = 0; time < 3; time++) {
    const store = await open(fs);
    const index = store.latest()?.index ?? 0;
    const { acknowledged, attempted } = progress;
    assert(index >= acknowledged && index <= attempted, `${what}: ${index}`);
    assert.deepEqual(await contents(store), WRITTEN[index - 1] ?? [], what);
    found.push(index);
    fs.crash();
    fs.restart();
  }
  assert.equal(new Set(found).size, 1, `${what}: ${found.join()}`);
  await finishAfter(fs, found[0] ?? 0, what);
}

/** Without a power cut before, goes on at once with a transfer that may have been interrupted. */
async function goOn(fs: MemoryFileSystem, _progress: Progress, what: string): Promise<void> {
  fs.intercept = () => "proceed";
  fs.kill();
  fs.restart();
  await finishAfter(fs, (await open(fs)).latest()?.index ?? 0, what);
}

async function finishAfter(fs: MemoryFileSystem, index: number, what: string): Promise<void> {
  if (index >= 2) return;
  await complete(fs, await sent(2, 2, WRITTEN[1].map((chunk) => chunk.length)));
  fs.crash();
  fs.restart();
  assert.deepEqual(await contents(await open(fs)), WRITTEN[1], `${what}, going on`);
  assert.deepEqual(fs.paths().filter((path) => !path.endsWith(".snap")), []);
}

describe("snapshots on a failing disk", () => {
  const kinds: [string, (call: number) => Intercept, number][] = [
    ["any one call fails once", (n) => faultAt(n, "once"), 4],
    ["any one call fails and all after it", (n) => faultAt(n, "forGood"), 4],
    ["the disk is full from any write on", fullFrom, 1],
    ["the power goes at any call", (n) => faultAt(n, "crash"), 4],
  ];
  for (const [kind, intercept, seeds] of kinds) {
    it(`keep their promises when ${kind}`, EXHAUSTIVE, async () => {
      const whole = new MemoryFileSystem();
      const all = { acknowledged: 0, attempted: 0 };
      await run(whole, all);
      assert.equal(all.acknowledged, 3);
      for (const call of range(whole.calls)) {
        for (const seed of range(seeds)) {
          for (const after of [check, goOn]) {
            const fs = new MemoryFileSystem({ random: seeded(call * 100 + seed) });
            fs.intercept = intercept(call);
            const progress = { acknowledged: 0, attempted: 0 };
            await run(fs, progress);
            await after(fs, progress, `${kind}, call ${call}, seed ${seed}`);
          }
        }
      }
      console.log(`snapshots, ${kind}: ${2 * whole.calls * seeds}`);
    });
  }
});
