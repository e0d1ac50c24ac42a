/** Bytes that go to disk for one PUT, on one node: log, snapshots and the file system's own journal. */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, NODES, type Section, startEtcd, startHoldfast } from "../bench.ts";
import { deviceBytes, settled, writtenBytes } from "../proc.ts";
import type { Replicated } from "../system.ts";
import { count, ratio } from "../table.ts";
import { judge, JUDGED_OUTSTANDING, type Verdict, verdictCell } from "../targets.ts";
import { KEY_BYTES, nextStamp } from "../workload.ts";

/** What a record may cost beyond key and value before it counts as more. */
const OVERHEAD_BYTES = 64;
const IDLE_MS = 2000;
const outstandings = [JUDGED_OUTSTANDING, 1] as const;

interface Written {
  readonly system: string;
  readonly outstanding: number;
  readonly puts: number;
  /** Per PUT and node: what the device wrote, and what the kernel says that the processes dirtied. */
  readonly deviceBytes: number;
  readonly dirtiedBytes: number;
  /** What the device writes a second while the cluster is idle: others' doing. */
  readonly idleBytesPerSecond: number;
  readonly amplification: number;
}

/** Logs lay out their files ahead, which is written once and no cost of a put: measured is what comes when they recycle. */
const WARM_UP_SECONDS = 15;

export async function disk(bench: Bench): Promise<Section> {
  const { options: { runtimes } } = bench;
  const data: Written[] = [];
  const verdicts: Verdict[] = [];
  if (bench.etcd && bench.h2load !== null) {
    const measured = await bench.attempt("disk, etcd", async () => {
      await using etcd = await startEtcd(bench, NODES);
      return await measure(bench, etcd);
    });
    data.push(...(measured ?? []));
  }
  for (const runtime of runtimes) {
    const measured = await bench.attempt(`disk, ${runtime}`, async () => {
      await using holdfast = await startHoldfast(bench, runtime, NODES);
      return await measure(bench, holdfast);
    });
    data.push(...(measured ?? []));
    const judged = measured?.find(({ outstanding }) => outstanding === JUDGED_OUTSTANDING);
    if (judged !== undefined && !Number.isNaN(judged.amplification)) {
      verdicts.push(judge("disk", runtime, judged.amplification));
    }
  }
  const rows = data.map((one) => {
    const { system, outstanding, amplification } = one;
    const verdict = outstanding === JUDGED_OUTSTANDING
      ? verdicts.find(({ runtime }) => runtime === system)
      : undefined;
    return [
      system,
      ...[outstanding, one.puts, one.deviceBytes].map(count),
      verdict === undefined ? ratio(amplification) : verdictCell(verdict),
      count(one.idleBytesPerSecond / 1024),
      count(one.dirtiedBytes),
    ];
  });
  return {
    title: "Bytes written to disk per PUT and node",
    heads: [
      "system",
      "outstanding",
      "PUTs",
      "device's bytes",
      `÷ (key + value + ${OVERHEAD_BYTES})`,
      "idle, KiB/s",
      "write_bytes",
    ],
    rows,
    notes: [
      "the device's bytes are everybody's: they count where idle is next to nothing",
      "write_bytes of /proc/<pid>/io counts whole folios, up to 1 MiB for a record of 300 bytes, and is not what is written",
    ],
    data,
    verdicts,
  };
}

async function measure(bench: Bench, store: Replicated): Promise<Written[]> {
  const { options: { keys, valueBytes, seconds, rounds }, progress } = bench;
  progress(`disk: ${store.label}: filling`);
  await store.fill({ keys, valueBytes });
  progress(`disk: ${store.label}: until the log's files are used again`);
  const warmUp = {
    method: "PUT",
    outstanding: JUDGED_OUTSTANDING,
    seconds: WARM_UP_SECONDS,
  } as const;
  await store.measure({ ...warmUp, keys, valueBytes, stamp: nextStamp() });
  const results: Written[] = [];
  for (const outstanding of outstandings) {
    await settled(store.pids());
    const idleBytesPerSecond = await idleRate(store);
    progress(`disk: ${store.label}, ${outstanding} outstanding`);
    const before = await bytesOf(store);
    let puts = 0;
    for (let round = 0; round < rounds; round++) {
      const shape = { method: "PUT", outstanding, seconds, keys, valueBytes } as const;
      puts += (await store.measure({ ...shape, stamp: nextStamp() })).succeeded;
    }
    await settled(store.pids());
    const after = await bytesOf(store);
    const share = puts * store.ids.length;
    const device = (after.device - before.device) / share;
    results.push({
      ...{ system: store.label, outstanding, puts, idleBytesPerSecond },
      deviceBytes: device,
      dirtiedBytes: (after.dirtied - before.dirtied) / share,
      amplification: device / (KEY_BYTES + valueBytes + OVERHEAD_BYTES),
    });
  }
  await store.written.verify(store, keys);
  return results;
}

async function bytesOf(
  store: Replicated,
): Promise<{ readonly device: number; readonly dirtied: number }> {
  const device = await deviceBytes(store.dataOf(store.ids[0] ?? ""));
  return { device, dirtied: store.pids().reduce((sum, pid) => sum + writtenBytes(pid), 0) };
}

async function idleRate(store: Replicated): Promise<number> {
  const start = performance.now();
  const before = (await bytesOf(store)).device;
  await sleep(IDLE_MS);
  return ((await bytesOf(store)).device - before) / (performance.now() - start) * 1000;
}
