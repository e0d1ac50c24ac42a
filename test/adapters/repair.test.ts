/**
 * A data directory whose log or snapshot has decayed, opened by a member that has peers: bits flipped all over it, every
 * sector zeroed, segments gone, several damages at once, and the power gone at every call of the repair.
 *
 * Oracle. Either it is refused, and every file is as it was; or what is opened is what a node may go on with:
 * - term and vote are the last that were promised;
 * - log and snapshot are of one history, and the core takes them;
 * - where nothing is owed, everything is there; else what is owed is where the log ended;
 * - what is known to be committed was;
 * - the next start says the same.
 * What recovery takes for a torn tail, the very last frame, may be missing from all of that, as ever.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { type DataDirectory, openDataDirectory } from "../../src/adapters/data-directory.ts";
import { sealEntry } from "../../src/adapters/log-record.ts";
import { faultAt, MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import { CorruptData, DataDirectoryRefused, DiskFailure } from "../../src/errors.ts";
import type { Logger, RecoveredLog } from "../../src/ports.ts";
import { type Configuration, encodeConfiguration, type Entry, Raft } from "../../src/raft/mod.ts";
import { raftOptionsOf } from "../raft/options.ts";
import { EXHAUSTIVE, flipped, SECTOR_BYTES, sectorZeroed, seeded } from "./disk-samples.ts";
import { chunksOf, emitted } from "./snapshot-samples.ts";
import { digest, WriteScript } from "./wal-writes.ts";

const voters = ["n1", "n2", "n3"];
const urls = Object.fromEntries(voters.map((id) => [id, `http://${id}`]));
const birth = { voters, outgoing: [], learners: [], urls };
const newborn = { id: "n1", incarnation: "life-1" };
const options = { segmentBytes: 1152 };

/** What a node had. */
interface Truth {
  readonly fs: MemoryFileSystem;
  /** After each frame. */
  readonly states: readonly RecoveredLog[];
  readonly snapshot: number;
}

/** A directory of the cluster's, made where there is none. */
async function open(
  fs: MemoryFileSystem,
  log: Logger = () => {},
  first: Configuration = birth,
): Promise<DataDirectory> {
  const data = await openDataDirectory(fs, "/data", newborn, { ...options, log });
  if (data.cluster === null) await data.enter({ clusterId: "c", birth: first });
  return data;
}

async function close({ wal, release }: DataDirectory): Promise<void> {
  await wal.close();
  await release();
}

/** A log of several segments, with cuts and votes; behind a snapshot, with some entries before its end, if there is one. */
async function build(snapshotAt: number | null): Promise<Truth> {
  const fs = new MemoryFileSystem();
  const data = await open(fs);
  const script = new WriteScript();
  script.append(2, 40, { term: 1, vote: "n1" });
  for (let i = 0; i < 5; i++) script.append(2, 40, { commit: 2 * i });
  script.append(3, 30, { term: 2, vote: null, commit: 9 });
  script.vote({ term: 3, vote: "n3" });
  script.replace(14, 2, 40, { term: 4, vote: "n2" });
  script.append(2, 10);
  script.vote({ commit: 15 });
  script.append(1, 5);
  script.vote({ term: 5, vote: "n2" });
  script.append(1, 0, { commit: 18 });
  for (const write of script.writes) await data.wal.append(write);
  if (snapshotAt !== null) {
    const { index, term, crc } = script.entries[snapshotAt - 1] ?? assert.fail();
    const meta = { index, term, crc, configuration: birth };
    await data.snapshots.write(meta, emitted(chunksOf([5, 60, 100])));
    await data.wal.compactBefore(snapshotAt - 3);
  }
  await close(data);
  for (const path of fs.paths()) if (path.endsWith(".tmp")) await fs.remove(path);
  return { fs, states: script.states, snapshot: snapshotAt ?? 0 };
}

const files = (fs: MemoryFileSystem) => fs.paths().map((path) => [path, fs.peek(path)] as const);
const endOf = ({ entries, logStart }: RecoveredLog) => entries.at(-1) ?? logStart;

/** "refused", or what is owed and kept, as the oracle lets it pass; `missing` frames may look like a torn tail. */
async function verdict(
  fs: MemoryFileSystem,
  { states, snapshot }: Truth,
  missing: number,
): Promise<string> {
  const found = files(fs);
  let data: DataDirectory;
  try {
    data = await open(fs);
  } catch (error) {
    assert(error instanceof CorruptData, String(error));
    assert.match(error.message, /member replace/);
    assert.deepEqual(files(fs).filter(([path]) => !path.endsWith("/lock")), found);
    return "refused";
  }
  const { recovered, debt, snapshots } = data;
  const { hardState } = recovered;
  const sound = snapshots.latest();
  const truth: RecoveredLog | undefined = states.slice(-1 - missing).find((each) =>
    each.hardState.term === hardState.term && each.hardState.vote === hardState.vote &&
    (debt === null
      ? endOf(each).crc === endOf(recovered).crc
      : endOf(each).index === debt.owes.index && endOf(each).term === debt.owes.term)
  );
  assert(
    truth !== undefined,
    `term ${hardState.term}, vote ${hardState.vote}, ${digest(recovered)}`,
  );
  assert(hardState.commit <= truth.hardState.commit);
  assert(sound === null || sound.index === snapshot);
  const raft = new Raft(raftOptionsOf("n1", 0, { voters }), {
    ...recovered,
    snapshot: sound ?? { index: 0, term: 0, crc: 0, configuration: birth },
    owes: debt?.owes ?? null,
  });
  const { lastIndex, commit } = raft.status();
  assert(commit <= Math.max(truth.hardState.commit, snapshot));
  for (const entry of recovered.entries) {
    const told: Entry | undefined = truth.entries.find(({ index }) => index === entry.index);
    if (debt === null || entry.index <= commit) assert.equal(told?.crc, entry.crc);
  }
  if (debt !== null) {
    assert(lastIndex < debt.owes.index || recovered.entries.at(-1)?.term !== debt.owes.term);
  }
  const said = `owes ${JSON.stringify(debt?.owes ?? null)} from ${lastIndex}\n${digest(recovered)}`;
  await close(data);
  const again = await open(fs);
  assert.equal(digest(again.recovered), digest(recovered));
  assert.deepEqual(again.debt?.owes, debt?.owes);
  await close(again);
  return said;
}

const kind = (said: string): "refused" | "whole" | "owes" =>
  said === "refused" ? "refused" : said.startsWith("owes null") ? "whole" : "owes";

for (const [name, snapshotAt] of [["", null], [" behind a snapshot", 10]] as const) {
  describe(`a log${name} that has decayed`, () => {
    let truth: Truth;
    let paths: readonly string[] = [];
    const { stackTraceLimit } = Error;
    before(async () => {
      Error.stackTraceLimit = 0;
      truth = await build(snapshotAt);
      paths = truth.fs.paths().filter((path) => /wal|snapshots/.test(path));
    });
    after(() => {
      Error.stackTraceLimit = stackTraceLimit;
    });

    /** How often which verdict came. */
    async function judged(
      damages: Iterable<readonly [path: string, bytes: Uint8Array | null][]>,
      missing: number = 1,
    ): Promise<Record<string, number>> {
      const counts: Record<string, number> = { refused: 0, whole: 0, owes: 0 };
      for (const damage of damages) {
        const fs = truth.fs.clone();
        for (const [path, bytes] of damage) {
          if (bytes === null) await fs.remove(path);
          else fs.poke(path, bytes);
        }
        const said = kind(await verdict(fs, truth, missing));
        counts[said] = (counts[said] ?? 0) + 1;
      }
      return counts;
    }

    it("is mended or refused for a bit flipped anywhere", EXHAUSTIVE, async () => {
      function* damages(): Generator<[string, Uint8Array][]> {
        for (const path of paths) {
          const bytes = truth.fs.peek(path);
          // All of them where there is time: `EVERY_BYTE=1`.
          const stride = process.env["EVERY_BYTE"] === undefined ? 7 : 1;
          for (let at = 0; at < bytes.length; at += stride) {
            yield [[path, flipped(bytes, 8 * at + at % 8)]];
          }
        }
      }
      const counts = await judged(damages());
      console.log(`bits flipped in a log${name}:`, JSON.stringify(counts));
      assert((counts["owes"] ?? 0) > 100 && (counts["whole"] ?? 0) > 100);
    });

    it("is mended or refused for any sector zeroed, and any file gone", async () => {
      function* damages(): Generator<[string, Uint8Array | null][]> {
        for (const path of paths) {
          const bytes = truth.fs.peek(path);
          for (let sector = 0; sector < bytes.length / SECTOR_BYTES; sector++) {
            yield [[path, sectorZeroed(bytes, sector)]];
          }
        }
        // The newest that is gone was never there, as far as a reader can tell.
        const segments = paths.filter((path) => path.startsWith("/data/wal"));
        for (const path of segments.slice(0, -1)) yield [[path, null]];
      }
      // A sector that is zeroed may be all of a tail.
      const counts = await judged(damages(), 6);
      console.log(`sectors zeroed and files gone in a log${name}:`, JSON.stringify(counts));
      assert((counts["owes"] ?? 0) > 2);
    });

    it("is mended or refused for several damages at once", EXHAUSTIVE, async () => {
      const random = seeded(7);
      function* damages(): Generator<[string, Uint8Array][]> {
        for (let n = 0; n < 300; n++) {
          const changed = new Map<string, Uint8Array>();
          for (let i = 0; i < 2 + n % 2; i++) {
            const path = paths[Math.floor(random() * paths.length)] ?? "";
            const bytes = changed.get(path) ?? truth.fs.peek(path);
            changed.set(path, flipped(bytes, Math.floor(random() * 8 * bytes.length)));
          }
          yield [...changed];
        }
      }
      const counts = await judged(damages());
      console.log(`several damages to a log${name}:`, JSON.stringify(counts));
      assert((counts["owes"] ?? 0) > 100);
    });

    it(
      "comes to the same end when the power goes at any call of its repair",
      EXHAUSTIVE,
      async () => {
        let crashes = 0;
        for (const path of paths) {
          const bytes = truth.fs.peek(path);
          const damaged = truth.fs.clone();
          damaged.poke(path, flipped(bytes, 8 * (path.includes("wal") ? 700 : 150)));
          const expected = await verdict(damaged.clone(), truth, 1);
          for (const fault of path === paths[0] ? ["crash", "once"] as const : ["crash"] as const) {
            for (let at = 1, struck = true; struck; at++) {
              const fs = new MemoryFileSystem({ random: seeded(at) });
              for (const each of damaged.paths()) fs.poke(each, damaged.view(each));
              fs.intercept = faultAt(at, fault);
              try {
                await close(await open(fs));
              } catch (error) {
                const isTyped = error instanceof DataDirectoryRefused ||
                  error instanceof DiskFailure;
                assert(isTyped, String(error));
              }
              struck = fs.calls >= at;
              fs.intercept = () => "proceed";
              fs.kill();
              fs.restart();
              assert.equal(await verdict(fs, truth, 1), expected, `${fault} at ${at}, ${path}`);
              crashes++;
            }
          }
        }
        console.log(`repairs of a log${name} that were struck: ${crashes}`);
      },
    );
  });
}

describe("a data directory that is mended", () => {
  it("keeps what it took out: all of it while anything is owed, then only of the latest repair", async () => {
    for (const settles of [true, false]) {
      const { fs } = await build(null);
      const kept = (): string[] => fs.paths().filter((each) => each.startsWith("/data/damaged/"));
      const counts: number[] = [];
      for (const at of [1000, 530]) {
        const path = fs.paths().find((each) => each.startsWith("/data/wal/")) ?? "";
        const bytes = flipped(fs.peek(path), 8 * at);
        fs.poke(path, bytes);
        const data = await open(fs);
        if (settles) await data.debt?.settle();
        await close(data);
        assert(kept().some((each) => Buffer.compare(fs.peek(each), bytes) === 0), kept().join());
        counts.push(kept().length);
      }
      const [first = 0, second = 0] = counts;
      assert.equal(second, settles ? 1 : first + 1);
    }
  });

  it("says which file, what it keeps, and what it asks for, and forgets it once it is settled", async () => {
    const { fs } = await build(null);
    const path = fs.paths().find((each) => each.startsWith("/data/wal/")) ?? "";
    fs.poke(path, flipped(fs.peek(path), 8 * 1000));
    const lines: unknown[] = [];
    const log = (...line: unknown[]): void => void lines.push(line);
    const first = await open(fs, log);
    assert.equal(lines.length, 1);
    const [level, , fields] = lines[0] as [string, string, Record<string, unknown>];
    assert.equal(level, "warn");
    assert.equal(fields["file"], path);
    assert(Number(fields["offset"]) > 512);
    const last = first.recovered.entries.at(-1)?.index ?? 0;
    assert(last > 0);
    assert.deepEqual([fields["keptFrom"], fields["keptTo"]], [1, last]);
    assert.deepEqual([fields["askedFrom"], fields["askedTo"]], [last + 1, 19]);
    await first.debt?.settle();
    await close(first);
    const second = await open(fs);
    assert.equal(second.debt, null);
    assert(!fs.paths().includes("/data/repair.json"));
    await close(second);
  });

  it("drops what was replaced in the part that is lost, or it would seem to be as far as it was", async () => {
    const fs = new MemoryFileSystem();
    const { wal, release } = await open(fs);
    const script = new WriteScript();
    const hardState = { term: 6, vote: null, commit: 2 };
    await wal.append(script.vote({ term: 1 }));
    await wal.append(script.append(4, 10));
    const kept = script.last;
    await wal.append(script.append(2, 10, { commit: 2 }));
    await wal.append(script.vote({ term: 5, vote: "n1" }));
    // What it appended as leader, and nobody else has.
    await wal.append(script.append(2, 10));
    const entries: Entry[] = [];
    for (let index = 5; index < 12; index++) {
      const draft = { index, term: 4, kind: "command", payload: new Uint8Array(9) } as const;
      entries.push(sealEntry(draft, entries.at(-1)?.crc ?? kept.crc));
    }
    await wal.append({ hardState, reset: null, truncateFrom: 5, entries });
    await wal.append({ hardState, reset: null, truncateFrom: null, entries: [] });
    await wal.close();
    await release();
    const record = Buffer.from(entries[3]?.record ?? assert.fail());
    const segment = fs.paths().find((path) => Buffer.from(fs.peek(path)).includes(record));
    assert(segment !== undefined);
    const at = Buffer.from(fs.peek(segment)).indexOf(record);
    fs.poke(segment, flipped(fs.peek(segment), 8 * at));
    const { recovered, debt } = await open(fs);
    assert.deepEqual(debt?.owes, { index: 11, term: 4 });
    assert.deepEqual(recovered.hardState, hardState);
    assert(recovered.entries.every(({ term }) => term < 5));
    assert.equal(recovered.entries.length, 6);
  });

  it("owes what it owed before, when it decays again before it is mended", async () => {
    const { fs } = await build(null);
    const segment = () => fs.paths().find((each) => each.startsWith("/data/wal/")) ?? "";
    fs.poke(segment(), flipped(fs.peek(segment()), 8 * 1000));
    const first = await open(fs);
    const owes = first.debt?.owes;
    assert(owes);
    const entry = first.recovered.entries.at(-1) ?? assert.fail();
    const draft = { index: entry.index + 1, term: 1, kind: "command" } as const;
    const next = sealEntry({ ...draft, payload: new Uint8Array(9) }, entry.crc);
    const nothing = { hardState: null, reset: null, truncateFrom: null };
    await first.wal.append({ ...nothing, entries: [next] });
    await close(first);
    fs.poke(segment(), flipped(fs.peek(segment()), 8 * 600));
    const second = await open(fs);
    assert.deepEqual(second.debt?.owes, owes);
    assert(second.recovered.entries.length < first.recovered.entries.length);
    await close(second);
  });

  it("is refused where its record is damaged, or its identity", async () => {
    const { fs } = await build(null);
    const path = fs.paths().find((each) => each.startsWith("/data/wal/")) ?? "";
    fs.poke(path, flipped(fs.peek(path), 8 * 1000));
    await close(await open(fs));
    for (const name of ["/data/repair.json", "/data/identity.json"]) {
      const bytes = fs.peek(name);
      fs.poke(name, flipped(bytes, 8 * 30));
      await assert.rejects(
        open(fs),
        (error) => error instanceof CorruptData && error.file === name,
      );
      fs.poke(name, bytes);
    }
    await close(await open(fs));
  });

  it("is not mended where nobody else votes: not at birth, and not by its log", async () => {
    const { fs } = await build(null);
    const path = fs.paths().find((each) => each.startsWith("/data/wal/")) ?? "";
    const data = await open(fs);
    const last = data.recovered.entries.at(-1) ?? assert.fail();
    const alone = { voters: ["n1"], outgoing: [], learners: ["n2"], urls: {} };
    const payload = encodeConfiguration(alone);
    const draft = { index: last.index + 1, term: 5, kind: "configuration", payload } as const;
    const entries = [sealEntry(draft, last.crc)];
    await data.wal.append({ hardState: null, reset: null, truncateFrom: null, entries });
    await close(data);
    fs.poke(path, flipped(fs.peek(path), 8 * 1000));
    await assert.rejects(open(fs), CorruptData);

    const sole = new MemoryFileSystem();
    const first = await open(sole, undefined, { ...birth, voters: ["n1"] });
    const script = new WriteScript();
    for (let i = 0; i < 5; i++) await first.wal.append(script.append(2, 40, { term: 1 }));
    await close(first);
    const segment = sole.paths().find((each) => each.startsWith("/data/wal/")) ?? "";
    sole.poke(segment, flipped(sole.peek(segment), 8 * 700));
    await assert.rejects(open(sole), CorruptData);
  });

  it("is left alone by a disk that reads a sound snapshot wrong", async () => {
    const { fs } = await build(10);
    const path = fs.paths().find((each) => each.endsWith(".snap")) ?? "";
    const sound = fs.peek(path);
    let at = 0;
    fs.intercept = ({ operation, path: read }) => {
      if (operation === "read" && read === path) {
        fs.scribble(path, 0, flipped(sound, 8 * (40 + at++)));
      }
      return "proceed";
    };
    await assert.rejects(open(fs), CorruptData);
    fs.intercept = () => "proceed";
    assert(fs.paths().includes(path));
    assert(!fs.paths().includes("/data/repair.json"));
  });
});
