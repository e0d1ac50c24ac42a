/**
 * Snapshots on a failing disk: each file-system call of writing, receiving and installing some, one after the other,
 * fails once, fails for good, or is where the power goes; and the same again while recovering from that.
 *
 * Oracle. After any failed call or power cut, the newest snapshot is one that was written or installed whole, is at
 * least as new as the last one that was acknowledged, and stays the same over another power cut. A transfer that was
 * interrupted is completed by sending again from where it says.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { faultAt, type Intercept, MemoryFileSystem } from "../../src/adapters/memory-fs.ts";
import type { SnapshotStore } from "../../src/ports.ts";
import { EXHAUSTIVE, fullFrom, seeded, typed } from "./disk-samples.ts";
import {
  chunksOf,
  complete,
  contents,
  emitted,
  metaAt,
  openSnapshots as open,
  sent,
} from "./snapshot-samples.ts";

const range = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

interface Progress {
  acknowledged: number;
  attempted: number;
}

const WRITTEN = [chunksOf([10, 600]), chunksOf([1200]), chunksOf([7, 7, 7])] as const;
const INCOMING = sent(2, 2, WRITTEN[1].map((chunk) => chunk.length));

/** Writes 1, receives and installs 2, writes 3; until something fails. */
async function run(fs: MemoryFileSystem, progress: Progress): Promise<void> {
  const incoming = await INCOMING;
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

/** Opens, reads and goes on with the transfer, until something fails. */
async function recover(fs: MemoryFileSystem, progress: Progress): Promise<void> {
  try {
    const store = await open(fs);
    const index = store.latest()?.index ?? 0;
    assert(index >= progress.acknowledged && index <= progress.attempted, `${index}`);
    assert.deepEqual(await contents(store), WRITTEN[index - 1] ?? []);
    // What one recovery hands out, the next must have.
    progress.acknowledged = index;
    if (index >= 2) return;
    progress.attempted = 2;
    await complete(fs, await INCOMING);
    progress.acknowledged = 2;
  } catch (error) {
    typed(error);
  }
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
  await complete(fs, await INCOMING);
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

  for (const again of ["crash", "once", "forGood"] as const) {
    it(
      `keep their promises when a second fault, ${again}, strikes any call of their recovery`,
      EXHAUSTIVE,
      async () => {
        const whole = new MemoryFileSystem();
        await run(whole, { acknowledged: 0, attempted: 0 });
        let count = 0;
        for (const call of range(whole.calls)) {
          for (const fault of ["crash", "forGood"] as const) {
            const fs = new MemoryFileSystem({ random: seeded(call) });
            fs.intercept = faultAt(call, fault);
            const progress = { acknowledged: 0, attempted: 0 };
            await run(fs, progress);
            // Until a recovery is through before the fault strikes.
            for (let at = 1, struck = true; struck; at++) {
              const from = fs.calls;
              fs.intercept = faultAt(from + at, again);
              fs.kill();
              fs.restart();
              await recover(fs, progress);
              struck = fs.calls - from >= at;
              if (struck) count++;
            }
            await check(fs, progress, `${fault} at call ${call}, then ${again}`);
          }
        }
        console.log(`snapshot recoveries that were struck, ${again}: ${count}`);
      },
    );
  }
});
