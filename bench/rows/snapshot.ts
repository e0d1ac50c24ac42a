/** What a PUT waits for while snapshots of many keys are taken. */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { Bench, Section } from "../bench.ts";
import type { Holdfast } from "../holdfast.ts";
import { settled } from "../proc.ts";
import { count, milliseconds, NONE, spread } from "../table.ts";
import { judge, JUDGED_OUTSTANDING, type Verdict, verdictCell } from "../targets.ts";
import { type Measured, median, nextStamp } from "../workload.ts";

const SECONDS_MIN = 10;
// As much as the flags take.
const never = "999999999999999";
const withoutSnapshots = ["--snapshot-entries", never, "--snapshot-bytes", never];
const metric = "holdfast_disk_backend_snapshot_duration_seconds";
const END_MS_MAX = 120_000;
const LOOK_MS = 100;

export interface SnapshotLoad {
  readonly system: string;
  readonly without: readonly Measured[];
  readonly under: readonly Measured[];
  /** Snapshots that the leader took in the measurements or was about when they ended, and the seconds of each. */
  readonly snapshots: number;
  readonly secondsEach: number;
}

/** The cluster is started again for each measurement, with default settings or without snapshots. */
export async function snapshot(bench: Bench, store: Holdfast): Promise<SnapshotLoad> {
  const { options: { rounds, bigKeys, valueBytes, seconds }, progress } = bench;
  const measure = async (): Promise<Measured> =>
    await store.measure({
      method: "PUT",
      outstanding: JUDGED_OUTSTANDING,
      seconds: Math.max(SECONDS_MIN, seconds),
      keys: bigKeys,
      valueBytes,
      stamp: nextStamp(),
    });
  const [without, under] = [[] as Measured[], [] as Measured[]];
  const taken = { snapshots: 0, seconds: 0 };
  for (let round = 1; round <= rounds; round++) {
    progress(`${store.label}: round ${round} of ${rounds}: without snapshots`);
    await startAll(store, withoutSnapshots);
    without.push(await measure());
    progress(`${store.label}: round ${round} of ${rounds}: with snapshots`);
    await startAll(store, []);
    const leader = await store.leader();
    const before = await takenBy(store, leader);
    under.push(await measure());
    const after = await firstAfter(store, leader, before.snapshots);
    taken.snapshots += after.snapshots - before.snapshots;
    taken.seconds += after.seconds - before.seconds;
  }
  const { snapshots } = taken;
  return { system: store.label, without, under, snapshots, secondsEach: taken.seconds / snapshots };
}

async function startAll(store: Holdfast, flags: readonly string[]): Promise<void> {
  await Promise.all(store.ids.map((id) => store.kill(id)));
  await Promise.all(store.ids.map((id) => store.start(id, flags)));
  await settled(store.pids());
}

async function takenBy(
  store: Holdfast,
  id: string,
): Promise<{ readonly snapshots: number; readonly seconds: number }> {
  const snapshots = await store.metric(id, `${metric}_count`);
  return { snapshots, seconds: await store.metric(id, `${metric}_sum`) };
}

/** Waits for the snapshot under way, if none has ended since. */
async function firstAfter(store: Holdfast, id: string, before: number): ReturnType<typeof takenBy> {
  const deadline = performance.now() + END_MS_MAX;
  for (;;) {
    const now = await takenBy(store, id);
    if (now.snapshots > before || performance.now() > deadline) return now;
    await sleep(LOOK_MS);
  }
}

export function snapshotSection({ options }: Bench, data: readonly SnapshotLoad[]): Section {
  const verdicts: Verdict[] = [];
  const rows = data.map(({ system, without, under, snapshots, secondsEach }) => {
    const p99 = (samples: readonly Measured[]): number => median(samples.map((one) => one.p99));
    const runtime = options.runtimes.find((one) => one === system);
    const verdict = runtime === undefined || snapshots === 0
      ? null
      : judge("snapshot", runtime, p99(under) / p99(without));
    if (verdict !== null) verdicts.push(verdict);
    return [
      system,
      spread(without.map((one) => one.perSecond), count),
      spread(without.map((one) => one.p99), milliseconds),
      spread(under.map((one) => one.perSecond), count),
      spread(under.map((one) => one.p99), milliseconds),
      count(snapshots),
      Number.isFinite(secondsEach) ? secondsEach.toFixed(1) : NONE,
      verdict === null ? NONE : verdictCell(verdict),
    ];
  });
  return {
    title: `PUT at ${JUDGED_OUTSTANDING} outstanding while snapshots of ${
      count(options.bigKeys)
    } keys are taken`,
    heads: [
      "system",
      "PUT/s without",
      "p99 ms without",
      "PUT/s with",
      "p99 ms with",
      "snapshots",
      "s each",
      "p99 ÷ without",
    ],
    rows,
    notes: ["snapshots of the leader; the followers take theirs at the same time"],
    data,
    verdicts,
  };
}
