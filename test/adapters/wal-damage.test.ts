/**
 * Damage to a small WAL at rest, exhaustively: every bit flipped, every length, every sector zeroed, every segment
 * swapped, doubled, removed and resurrected.
 *
 * Oracle. A frame is damaged if a byte of it changed. Then recovery
 * - says `CorruptData` where a segment's header is damaged, or a frame that an undamaged one follows;
 * - says `CorruptData` or recovers exactly the frames before, where nothing undamaged follows the damage;
 * - recovers everything where no frame and no header is damaged;
 * - throws nothing else, never changes a file before it refuses, and says the same the second time.
 *
 * What no reader can see, and is therefore not asked for: the newest segment removed or replaced as a whole by an
 * earlier state of itself, and the oldest segments removed, which is what compaction does.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openFileWal } from "../../src/adapters/file-wal.ts";
import { MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { recoverWal, segmentName } from "../../src/adapters/wal-recovery.ts";
import { CorruptData } from "../../src/errors.ts";
import { EXHAUSTIVE, flipped, SECTOR_BYTES, sectorZeroed } from "./disk-samples.ts";
import { digest, START, WriteScript } from "./wal-writes.ts";

const DIRECTORY = "/wal";
const OPTIONS = { directory: DIRECTORY, segmentBytes: 1152, start: START };
const HEADER_BYTES = 512;

interface Frame {
  readonly path: string;
  readonly from: number;
  /** Where its padding begins. */
  readonly to: number;
  /** What a recovery says that ends before this frame. */
  readonly before: string;
}

/** A WAL of three segments; the last is a recycled file, with frames of its former life behind its own. */
async function build(): Promise<{ fs: MemoryFileSystem; frames: Frame[]; end: string }> {
  const fs = new MemoryFileSystem();
  const { wal } = await openFileWal({ fs, ...OPTIONS });
  const script = new WriteScript();
  // Three frames fill a segment.
  script.append(2, 40, { term: 1 });
  for (let i = 1; i < 10; i++) script.append(2, 40);
  script.reset(40, 2, { term: 2, vote: "n2", commit: 40 });
  script.append(3, 30);
  script.replace(42, 2, 40, { term: 3, vote: null });
  script.vote({ commit: 42 });
  script.replace(43, 1, 0, { term: 4 });
  script.append(1, 5);
  const frames: Frame[] = [];
  for (const [i, write] of script.writes.entries()) {
    const old = await recoverWal(fs, DIRECTORY);
    await wal.append(write);
    const now = await recoverWal(fs, DIRECTORY);
    assert(old !== null && now?.lastFrame);
    frames.push({
      path: now.segments.at(-1)?.path ?? "",
      from: now.lastFrame.offset,
      to: now.lastFrame.offset + 24 + new DataView(now.lastFrame.bytes.buffer).getUint32(16, true),
      before: digest(old.log.recovered()),
    });
    // The fourth segment has begun: the first becomes the fifth, the second is removed.
    if (i === 9) await wal.compactBefore(13);
  }
  await wal.close();
  for (const path of fs.paths()) if (path.endsWith(".tmp")) await fs.remove(path);
  const recovery = await recoverWal(fs, DIRECTORY);
  assert(recovery !== null);
  const kept = frames.filter((frame) => fs.paths().includes(frame.path));
  return { fs, frames: kept, end: digest(recovery.log.recovered()) };
}

/** What a recovery says: a digest, or "corrupt" in which file. */
async function verdict(fs: MemoryFileSystem): Promise<string> {
  try {
    const recovery = await recoverWal(fs, DIRECTORY);
    return recovery === null ? "empty" : digest(recovery.log.recovered());
  } catch (error) {
    assert(error instanceof CorruptData, String(error));
    assert.match(error.message, /nothing was changed; restore the file/);
    return `corrupt ${error.file}`;
  }
}

describe("WAL, damaged at rest", () => {
  let fs = new MemoryFileSystem();
  let frames: readonly Frame[] = [];
  let end = "";
  let paths: readonly string[] = [];
  const counts: Record<string, { corrupt: number; cut: number; whole: number }> = {};
  const { stackTraceLimit } = Error;
  before(async () => {
    // Thousands of errors are made and looked at; nobody looks at their stacks, which cost most of the time.
    Error.stackTraceLimit = 0;
    ({ fs, frames, end } = await build());
    paths = fs.paths();
    assert.deepEqual(paths, [3, 4, 5].map((id) => `${DIRECTORY}/${segmentName(id)}`));
    const last = fs.peek(paths.at(-1) ?? "");
    const used = frames.at(-1)?.to ?? 0;
    assert(last.subarray(used + 8).some((byte) => byte !== 0), "the last file was not recycled");
  });

  after(() => {
    Error.stackTraceLimit = stackTraceLimit;
  });

  /** Replaces a file by a changed one, judges, and puts it back. `from`–`to` are the changed bytes. */
  async function damage(
    kind: string,
    path: string,
    bytes: Uint8Array,
    { from, to }: { from: number; to: number },
  ): Promise<void> {
    const original = fs.peek(path);
    fs.poke(path, bytes);
    const said = await verdict(fs);
    fs.poke(path, original);
    const hit = frames.filter((frame) => frame.path === path && frame.from < to && frame.to > from);
    const first = hit[0];
    const suffix = hit.length === frames.length - frames.indexOf(first ?? frames[0] as Frame);
    const where = `${kind} at ${path} ${from}–${to}`;
    const count = counts[kind] ??= { corrupt: 0, cut: 0, whole: 0 };
    if (from < HEADER_BYTES || (first !== undefined && !suffix)) {
      assert.equal(said, `corrupt ${path}`, where);
      count.corrupt++;
    } else if (first !== undefined) {
      const corrupt = said === `corrupt ${path}`;
      assert(corrupt || said === first.before, `${where}: ${said}`);
      count[corrupt ? "corrupt" : "cut"]++;
    } else {
      assert.equal(said, end, where);
      count.whole++;
    }
  }

  for (const [i, which] of ["oldest", "middle", "newest"].entries()) {
    it(`is judged right for every bit flipped in the ${which} segment`, EXHAUSTIVE, async () => {
      const path = paths[i] ?? "";
      const bytes = fs.peek(path);
      for (let bit = 0; bit < 8 * bytes.length; bit++) {
        await damage("bit", path, flipped(bytes, bit), { from: bit >> 3, to: (bit >> 3) + 1 });
      }
    });
  }

  it("had every kind of verdict on the bits", () => {
    console.log("WAL bits flipped:", JSON.stringify(counts["bit"]));
    assert(Object.values(counts["bit"] ?? {}).every((count) => count > 100));
  });

  it("is judged right for every sector zeroed", async () => {
    for (const path of paths) {
      const bytes = fs.peek(path);
      for (let sector = 0; sector < bytes.length / SECTOR_BYTES; sector++) {
        const from = sector * SECTOR_BYTES;
        const to = from + SECTOR_BYTES;
        await damage("sector", path, sectorZeroed(bytes, sector), { from, to });
      }
    }
    console.log("WAL sectors zeroed:", JSON.stringify(counts["sector"]));
  });

  it("is refused at every other length", EXHAUSTIVE, async () => {
    for (const path of paths) {
      const bytes = fs.peek(path);
      for (let length = 0; length <= bytes.length + 8; length++) {
        if (length === bytes.length) continue;
        const cut = new Uint8Array(length);
        cut.set(bytes.subarray(0, length));
        fs.poke(path, cut);
        assert.equal(await verdict(fs), `corrupt ${path}`, `${length} bytes`);
      }
      fs.poke(path, bytes);
    }
    console.log("WAL lengths:", paths.length * (1152 + 8));
  });

  it("is refused with any two segments swapped, and with any put in another's place", async () => {
    const files = paths.map((path) => fs.peek(path));
    const next = `${DIRECTORY}/${segmentName(parseInt(paths.at(-1)?.slice(9, 25) ?? "", 16) + 1)}`;
    for (const [i, a] of paths.entries()) {
      for (const target of [...paths, next]) {
        const j = paths.indexOf(target);
        if (i === j) continue;
        const copy = fs.clone();
        copy.poke(target, files[i] ?? new Uint8Array());
        assert.match(await verdict(copy), /^corrupt/, `${a} in place of ${target}`);
        if (j >= 0) copy.poke(a, files[j] ?? new Uint8Array());
        assert.match(await verdict(copy), /^corrupt/, `${a} and ${target}`);
      }
    }
  });

  it("is refused when its only segment has another's name", async () => {
    const copy = new MemoryFileSystem();
    const path = `${DIRECTORY}/${segmentName(9)}`;
    copy.poke(path, fs.peek(paths[0] ?? ""));
    assert.equal(await verdict(copy), `corrupt ${path}`);
  });

  it("is refused without a segment in the middle, and says which", async () => {
    for (const path of paths.slice(1, -1)) {
      const copy = fs.clone();
      await copy.remove(path);
      await assert.rejects(recoverWal(copy, DIRECTORY), (error) => {
        assert(error instanceof CorruptData);
        assert(error.message.includes(path.slice(DIRECTORY.length + 1)));
        return true;
      });
    }
  });

  it("starts later without its oldest segments, with the same end", async () => {
    const whole = await recoverWal(fs, DIRECTORY);
    for (let gone = 1; gone < paths.length; gone++) {
      const copy = fs.clone();
      for (const path of paths.slice(0, gone)) await copy.remove(path);
      const rest = await recoverWal(copy, DIRECTORY);
      assert.deepEqual(rest?.log.last, whole?.log.last);
      assert.deepEqual(rest?.log.hardState, whole?.log.hardState);
    }
  });

  it("takes a resurrected segment only where it belongs", async () => {
    const [oldest = "", second = ""] = paths;
    const [oldestBytes, secondBytes] = [fs.peek(oldest), fs.peek(second)];
    const compacted = fs.clone();
    await compacted.remove(oldest);
    await compacted.remove(second);
    compacted.poke(oldest, oldestBytes);
    assert.match(await verdict(compacted), /^corrupt/);
    compacted.poke(second, secondBytes);
    assert.equal(await verdict(compacted), end);
    await compacted.remove(oldest);
    assert.doesNotMatch(await verdict(compacted), /^corrupt/);
  });

  it("is refused with an earlier state of any segment but the newest", async () => {
    for (const path of paths.slice(0, -1)) {
      const bytes = fs.peek(path);
      const own = frames.filter((frame) => frame.path === path);
      for (const frame of own) {
        const copy = fs.clone();
        copy.poke(path, bytes.slice().fill(0, frame.from));
        assert.equal(await verdict(copy), `corrupt ${path}`, `as it was before ${frame.from}`);
      }
    }
  });

  it("is the same when it is opened for real after a cut, twice, and goes on", async () => {
    const last = frames.at(-1);
    assert(last !== undefined);
    for (let from = last.from; from < last.to; from += 3) {
      const torn = fs.clone();
      torn.poke(last.path, fs.peek(last.path).fill(0xee, from, last.to));
      const bytes = torn.peek(last.path);
      for (let time = 0; time < 2; time++) {
        const { wal, recovered } = await openFileWal({ fs: torn, ...OPTIONS });
        assert.equal(digest(recovered), last.before);
        assert.deepEqual(torn.peek(last.path), bytes);
        await wal.close();
      }
      const { wal } = await openFileWal({ fs: torn, ...OPTIONS });
      const script = new WriteScript();
      await wal.append(script.vote({ term: 9 }));
      await wal.close();
      const again = await recoverWal(torn, DIRECTORY);
      assert.equal(again?.log.hardState.term, 9);
    }
  });

  it("is left as it was when it is refused", async () => {
    for (const [i, path] of paths.entries()) {
      const copy = fs.clone();
      copy.poke(path, flipped(fs.peek(path), 8 * (i === 1 ? 100 : 600)));
      copy.poke(`${DIRECTORY}/wal-7.tmp`, new Uint8Array(9));
      const found = copy.paths().map((each) => copy.peek(each));
      await assert.rejects(openFileWal({ fs: copy, ...OPTIONS }), CorruptData);
      assert.deepEqual(copy.paths().map((each) => copy.peek(each)), found);
    }
  });

  it("is refused when a file is too large to be a segment, before it is read", async () => {
    const copy = fs.clone();
    const path = paths.at(-1) ?? "";
    await (await copy.open(path, "write")).truncate(256 * 1024 * 1024 + 1);
    copy.intercept = (call) => {
      assert(call.operation !== "read" || call.path !== path, "the file was read");
      return "proceed";
    };
    assert.equal(await verdict(copy), `corrupt ${path}`);
  });
});
