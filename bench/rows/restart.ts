/** How long a killed follower takes to serve again, beside reading its files. */
import { performance } from "node:perf_hooks";
import type { Bench, Section } from "../bench.ts";
import { dropFromCache, filesBelow, secondsToRead, settled } from "../proc.ts";
import type { Replicated } from "../system.ts";
import { count, mebibytes, milliseconds, ratio, spread } from "../table.ts";
import { judge, type Verdict, verdictCell } from "../targets.ts";
import { median } from "../workload.ts";

export interface Restarted {
  readonly system: string;
  readonly bytes: number;
  /** Seconds to read the files, one after the other, none of them cached. */
  readonly read: readonly number[];
  /** Seconds from the process's start until it serves as a member: files not cached, cached, and without data. */
  readonly cold: readonly number[];
  readonly warm: readonly number[];
  readonly empty: number;
}

async function followerOf(store: Replicated): Promise<string> {
  const leader = await store.leader();
  return store.ids.find((id) => id !== leader) ?? leader;
}

/** Kills a follower; seconds until it serves again. */
export async function startSeconds(store: Replicated): Promise<number> {
  const id = await followerOf(store);
  await store.kill(id);
  return await startedAgain(store, id);
}

async function startedAgain(store: Replicated, id: string): Promise<number> {
  const start = performance.now();
  await store.start(id);
  return (performance.now() - start) / 1000;
}

export async function restart(bench: Bench, store: Replicated, empty: number): Promise<Restarted> {
  await settled(store.pids());
  const id = await followerOf(store);
  const [read, cold, warm] = [[] as number[], [] as number[], [] as number[]];
  let bytes = 0;
  for (let round = 0; round < bench.options.rounds; round++) {
    await store.kill(id);
    const files = filesBelow(store.dataOf(id));
    const paths = files.map(({ path }) => path);
    bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    await dropFromCache(paths);
    read.push(await secondsToRead(paths));
    await dropFromCache(paths);
    cold.push(await startedAgain(store, id));
    await store.kill(id);
    warm.push(await startedAgain(store, id));
  }
  return { system: store.label, bytes, read, cold, warm, empty };
}

export function restartSection({ options }: Bench, data: readonly Restarted[]): Section {
  const verdicts: Verdict[] = [];
  const seconds = (value: number): string => value.toFixed(2);
  const rows = data.map(({ system, bytes, read, cold, warm, empty }) => {
    const value = median(cold) / (2 * median(read));
    const runtime = options.runtimes.find((one) => one === system);
    const verdict = runtime === undefined ? null : judge("restart", runtime, value);
    if (verdict !== null) verdicts.push(verdict);
    return [
      system,
      mebibytes(bytes),
      spread(read, seconds),
      milliseconds(bytes / 2 ** 20 / median(read)),
      spread(cold, seconds),
      spread(warm, seconds),
      seconds(empty),
      verdict === null ? ratio(value) : verdictCell(verdict),
    ];
  });
  return {
    title: `A follower's start with ${count(options.bigKeys)} keys`,
    heads: [
      "system",
      "files, MiB",
      "reading them, s",
      "MiB/s",
      "start, s",
      "start, files cached, s",
      "start, no data, s",
      "start ÷ (2 × reading)",
    ],
    rows,
    notes: ["from the process's start until it serves as a member of the cluster"],
    data,
    verdicts,
  };
}
