/**
 * A WAL whose disk fails: each file-system call of a small workload, one after the other, fails once, fails for good
 * (with all that follow), or is where the power goes; and the same again while recovering from that.
 *
 * Oracle. What is recovered is what the first k writes say, byte for byte, where all writes that were acknowledged are
 * among the k, and none that was not appended. Everything else rejects with a typed error, and after the first failure
 * everything does. What one recovery said, the next says again, also when the power goes in between.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type FileWal, openFileWal } from "../../src/adapters/file-wal.ts";
import { faultAt, type Intercept, MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import type { RecoveredLog } from "../../src/ports.ts";
import { EXHAUSTIVE, fullFrom, seeded, typed } from "./disk-samples.ts";
import { digest, START, WriteScript } from "./wal-writes.ts";

const OPTIONS = { directory: "/wal", segmentBytes: 2048, start: START };

/** Appends that cut, reset, rotate, and are larger than a segment. */
function script(): WriteScript {
  const script = new WriteScript();
  script.vote({ term: 1, vote: "n1" });
  for (let i = 0; i < 19; i++) script.append(2, 60);
  script.replace(34, 3, 60, { term: 2 });
  script.append(1, 2000);
  script.reset(60, 3, { term: 3, commit: 60 });
  for (let i = 0; i < 8; i++) script.append(2, 60);
  script.vote({ term: 4, vote: "n3" });
  return script;
}
const SCRIPT = script();

/** Before each pair of writes the log is compacted up to here: well behind all later cuts, and often. */
function compactionBefore(write: number): number {
  return Math.max(1, (SCRIPT.states[write]?.entries.at(-1)?.index ?? 0) - 8);
}

interface Progress {
  acknowledged: number;
  appended: number;
  /** Entries before it were given up. */
  compacted: number;
}

/** Runs the script, two writes at a time, until something fails. Nothing may fail but in the ways the port names. */
async function run(fs: MemoryFileSystem, progress: Progress): Promise<void> {
  let wal: FileWal;
  try {
    ({ wal } = await openFileWal({ fs, ...OPTIONS }));
  } catch (error) {
    typed(error);
    return;
  }
  let failure: Error | null = null;
  const { writes } = SCRIPT;
  for (let i = 0; i < writes.length && failure === null; i += 2) {
    progress.compacted = Math.max(progress.compacted, compactionBefore(i));
    // Not awaited: it must get along with appends.
    const compacted = wal.compactBefore(progress.compacted);
    const pair = writes.slice(i, i + 2).map((write) => wal.append(write));
    progress.appended += pair.length;
    for (const result of await Promise.allSettled(pair)) {
      if (result.status === "rejected") failure = typed(result.reason);
      else {
        assert.equal(failure, null, "a write was acknowledged behind one that failed");
        progress.acknowledged++;
      }
    }
    await compacted.catch((error) => {
      failure = typed(error);
    });
  }
  if (failure !== null) {
    await assert.rejects(
      wal.append(writes[0] ?? assert.fail()),
      (error) => typed(error) === failure,
    );
  }
  await wal.close().catch(() => {});
}

/** Which of the script's states `recovered` is: how many writes. -1 where it is none of those that may be. */
function statesOf(recovered: RecoveredLog, progress: Progress): number {
  const { logStart } = recovered;
  for (let k = progress.appended; k >= progress.acknowledged; k--) {
    const state = SCRIPT.states[k];
    assert(state !== undefined);
    const cut = Math.max(state.logStart.index, logStart.index);
    if (logStart.index > Math.max(progress.compacted - 1, state.logStart.index)) continue;
    const entries = state.entries.filter((entry) => entry.index > cut);
    const start = cut === state.logStart.index
      ? state.logStart
      : state.entries.find((entry) => entry.index === cut);
    if (start === undefined) continue;
    const { index, term, crc } = start;
    const expected = { hardState: state.hardState, logStart: { index, term, crc }, entries };
    if (digest(expected) === digest(recovered)) return k;
  }
  return -1;
}

/** Opens, checks, and closes. */
async function recover(fs: MemoryFileSystem): Promise<RecoveredLog> {
  const { wal, recovered } = await openFileWal({ fs, ...OPTIONS });
  await wal.close();
  return recovered;
}

/** After a failure: recovers what it may, says the same again after a power cut, and goes on. */
async function check(fs: MemoryFileSystem, progress: Progress, what: string): Promise<void> {
  fs.intercept = () => "proceed";
  fs.kill();
  fs.restart();
  const first = await recover(fs);
  assert(statesOf(first, progress) >= 0, `${what}: ${JSON.stringify(progress)} ${digest(first)}`);
  fs.crash();
  fs.restart();
  assert.equal(digest(await recover(fs)), digest(first), `${what}, recovered again`);
  const { wal } = await openFileWal({ fs, ...OPTIONS });
  const hardState = { ...first.hardState, term: 99, vote: null };
  await wal.append({ hardState, reset: null, truncateFrom: null, entries: [] });
  await wal.close();
  fs.crash();
  fs.restart();
  assert.equal(digest(await recover(fs)), digest({ ...first, hardState }), `${what}, going on`);
}

function fresh(): Progress {
  return { acknowledged: 0, appended: 0, compacted: 0 };
}

/** How many calls the whole workload makes; it takes every way that a segment's file can go. */
async function callsOfAll(): Promise<number> {
  const fs = new MemoryFileSystem();
  const progress = fresh();
  const ways = new Set<string>();
  fs.intercept = ({ operation, path }) => {
    ways.add(`${operation} ${path.slice(path.lastIndexOf("."))}`);
    return "proceed";
  };
  await run(fs, progress);
  for (const way of ["rename .log", "rename .tmp", "remove .log"]) assert(ways.has(way), way);
  assert.equal(progress.acknowledged, SCRIPT.writes.length);
  assert.equal(statesOf(await recover(fs), progress), SCRIPT.writes.length);
  return fs.calls;
}

/** Runs the workload against each fault, and then `after`. */
async function against(
  faults: readonly {
    readonly name: string;
    readonly intercept: Intercept;
    readonly seed: number;
  }[],
  after: (fs: MemoryFileSystem, progress: Progress, name: string) => Promise<void> = check,
): Promise<void> {
  for (const { name, intercept, seed } of faults) {
    const fs = new MemoryFileSystem({ random: seeded(seed) });
    fs.intercept = intercept;
    const progress = fresh();
    await run(fs, progress);
    await after(fs, progress, name);
  }
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

describe("WAL on a failing disk", () => {
  for (const fault of ["once", "forGood"] as const) {
    it(`keeps its promises when any one call fails ${fault}`, EXHAUSTIVE, async () => {
      const calls = await callsOfAll();
      const faults = range(4 * calls).map((seed) => {
        const n = Math.ceil(seed / 4);
        return {
          name: `call ${n} fails ${fault}, seed ${seed}`,
          intercept: faultAt(n, fault),
          seed,
        };
      });
      await against(faults);
      console.log(`WAL calls that failed ${fault}: ${faults.length}`);
    });
  }

  it("keeps its promises when the power goes at any call", EXHAUSTIVE, async () => {
    const seeds = 5;
    const calls = await callsOfAll();
    const faults = range(calls).flatMap((n) =>
      range(seeds).map((s) => {
        const seed = n * seeds + s;
        return { name: `crash at ${n}, seed ${seed}`, intercept: faultAt(n, "crash"), seed };
      })
    );
    await against(faults);
    console.log(`WAL crashes: ${faults.length}`);
  });

  it("keeps its promises when the disk becomes full at any write", EXHAUSTIVE, async () => {
    const calls = await callsOfAll();
    const faults = range(calls).map((n) => {
      return { name: `full from call ${n} on`, intercept: fullFrom(n), seed: n };
    });
    await against(faults);
  });

  for (const again of ["crash", "once", "forGood"] as const) {
    it(
      `keeps its promises when a second fault, ${again}, strikes any call of its recovery`,
      EXHAUSTIVE,
      async () => {
        let count = 0;
        const calls = await callsOfAll();
        const faults = range(calls).flatMap((n) =>
          (["crash", "forGood"] as const).map((fault) => {
            return {
              name: `${fault} at ${n}, then ${again}`,
              intercept: faultAt(n, fault),
              seed: n,
            };
          })
        );
        await against(faults, async (fs, progress, name) => {
          // Until a recovery is through before the fault strikes.
          for (let at = 1, struck = true; struck; at++) {
            const from = fs.calls;
            fs.intercept = faultAt(from + at, again);
            fs.kill();
            fs.restart();
            await recover(fs).catch(typed);
            struck = fs.calls - from >= at;
            if (struck) count++;
          }
          await check(fs, progress, name);
        });
        console.log(`WAL recoveries that were struck, ${again}: ${count}`);
      },
    );
  }

  it("says which write failed, once and for ever, and tries nothing again", async () => {
    const fs = new MemoryFileSystem();
    const { wal } = await openFileWal({ fs, ...OPTIONS });
    const [first, second, third] = SCRIPT.writes;
    assert(first && second && third);
    await wal.append(first);
    let syncs = 0;
    fs.intercept = (call) => {
      if (call.operation !== "datasync") return "proceed";
      syncs++;
      return "fail";
    };
    const both = await Promise.allSettled([wal.append(second), wal.append(third)]);
    for (const result of both) assert.equal(result.status, "rejected");
    await assert.rejects(wal.append(third), /EIO/);
    await assert.rejects(wal.compactBefore(1), /EIO/);
    assert.equal(syncs, 1);
    await wal.close();
  });

  it("completes all that waited with one sync", async () => {
    const fs = new MemoryFileSystem();
    const { wal } = await openFileWal({ ...OPTIONS, fs, segmentBytes: 1024 * 1024 });
    const script = new WriteScript();
    for (let i = 0; i < 100; i++) script.append(1, 100, { term: 1 });
    const before = { ...wal.counters };
    const [head, ...rest] = script.writes;
    assert(head);
    const first = wal.append(head);
    while (!(fs.calls > 0 && wal.counters.frames === before.frames)) await Promise.resolve();
    await Promise.resolve();
    await Promise.all([first, ...rest.map((write) => wal.append(write))]);
    assert(wal.counters.frames - before.frames <= 2);
    assert.equal(wal.counters.syncs - before.syncs, wal.counters.frames - before.frames);
    await wal.close();
  });

  it("bounds what goes into one frame", async () => {
    const fs = new MemoryFileSystem();
    const { wal } = await openFileWal({ ...OPTIONS, fs, segmentBytes: 32 * 1024 * 1024 });
    const script = new WriteScript();
    for (let i = 0; i < 20; i++) script.append(1, 1024 * 1024, { term: 1 });
    await Promise.all(script.writes.map((write) => wal.append(write)));
    assert.equal(wal.counters.frames, 3);
    await wal.close();
  });

  it("recycles segments, so that a long life leaves a few files", async () => {
    const fs = new MemoryFileSystem();
    const { wal } = await openFileWal({ fs, ...OPTIONS });
    const script = new WriteScript();
    let most = 0;
    for (let i = 0; i < 200; i++) {
      await wal.append(script.append(2, 40, { term: 1 }));
      if (i % 10 === 9) await wal.compactBefore(script.last.index - 4);
      most = Math.max(most, fs.paths().length);
    }
    await wal.close();
    assert(most <= 8, `${most} files`);
    assert(fs.paths().length <= 5, fs.paths().join(" "));
    const { wal: again, recovered } = await openFileWal({ fs, ...OPTIONS });
    assert(!fs.paths().some((path) => path.endsWith(".tmp")));
    assert.equal(recovered.entries.at(-1)?.index, 400);
    // A log that starts again at a lower index, behind a snapshot, does not keep the segments that this voids.
    await again.append(script.reset(100, 1));
    await again.compactBefore(101);
    const segments = fs.paths().filter((path) => path.endsWith(".log"));
    assert.equal(segments.length, 1, segments.join(" "));
    await again.close();
  });
});
