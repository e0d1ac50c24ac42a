/** The rows that want many keys: one cluster is filled, and memory, restart and snapshots are measured on it in turn. */
import { type Bench, NODES, type Section, startEtcd, startHoldfast } from "../bench.ts";
import type { Holdfast } from "../holdfast.ts";
import type { Replicated } from "../system.ts";
import { type Footprint, footprintOf, fullAfter, memorySection } from "./memory.ts";
import { restart, type Restarted, restartSection, startSeconds } from "./restart.ts";
import { snapshot, type SnapshotLoad, snapshotSection } from "./snapshot.ts";

interface Collected {
  readonly memory: Footprint[];
  readonly restart: Restarted[];
  readonly snapshot: SnapshotLoad[];
}

export async function large(bench: Bench): Promise<readonly Section[]> {
  const { options: { rows, runtimes } } = bench;
  const collected: Collected = { memory: [], restart: [], snapshot: [] };
  if (bench.etcd && (rows.includes("memory") || rows.includes("restart"))) {
    await bench.attempt("large, etcd", async () => {
      await using etcd = await startEtcd(bench, NODES);
      await measure(bench, etcd, collected);
    });
  }
  for (const runtime of runtimes) {
    await bench.attempt(`large, ${runtime}`, async () => {
      await using holdfast = await startHoldfast(bench, runtime, NODES);
      await measure(bench, holdfast, collected);
      if (rows.includes("snapshot")) await underSnapshots(bench, holdfast, collected);
    });
  }
  return [
    ...(rows.includes("memory") ? [memorySection(bench, collected.memory)] : []),
    ...(rows.includes("restart") ? [restartSection(bench, collected.restart)] : []),
    ...(rows.includes("snapshot") ? [snapshotSection(bench, collected.snapshot)] : []),
  ];
}

async function measure(bench: Bench, store: Replicated, collected: Collected): Promise<void> {
  const { options: { rows, bigKeys, valueBytes }, progress } = bench;
  const emptySeconds = rows.includes("restart") ? await startSeconds(store) : NaN;
  const before = footprintOf(store);
  progress(`${store.label}: putting ${bigKeys} keys`);
  await store.fill({ keys: bigKeys, valueBytes });
  if (rows.includes("memory")) collected.memory.push(await fullAfter(store, before));
  if (rows.includes("restart")) {
    progress(`${store.label}: starting a follower with ${bigKeys} keys`);
    collected.restart.push(await restart(bench, store, emptySeconds));
  }
  await store.written.verify(store, bigKeys);
}

async function underSnapshots(
  bench: Bench,
  holdfast: Holdfast,
  collected: Collected,
): Promise<void> {
  collected.snapshot.push(await snapshot(bench, holdfast));
  await holdfast.written.verify(holdfast, bench.options.bigKeys);
}
