/** Many runs at a time, each in a thread of its own: what a run comes to depends on its seed alone. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Overrides } from "./options.ts";
import { type RunResult, simulate } from "./run.ts";

/** What crosses from one thread to another of a run. */
export interface RunSummary extends Omit<RunResult, "options" | "trace" | "probes"> {
  readonly seed: bigint;
  readonly probes: ReturnType<RunResult["probes"]["counts"]>;
}

/** A seed that runs longer than this, in milliseconds, hangs. */
export const seedMsMax: number = 600_000;

export const jobsDefault: number = availableParallelism();

export async function summary(seed: bigint, overrides: Overrides): Promise<RunSummary> {
  const { options: _, trace: __, probes, ...rest } = await simulate(seed, overrides);
  return { ...rest, seed, probes: probes.counts() };
}

/** Runs the seeds that `next` hands out, until it has none; `onSummary` hears of each in the order in which they end. */
export async function runSeeds(
  next: () => bigint | null,
  overrides: Overrides,
  jobs: number,
  onSummary: (summary: RunSummary) => void,
): Promise<void> {
  if (jobs === 1) {
    for (let seed = next(); seed !== null; seed = next()) onSummary(await summary(seed, overrides));
    return;
  }
  await Promise.all(Array.from({ length: jobs }, () => inThread(next, overrides, onSummary)));
}

function inThread(
  next: () => bigint | null,
  overrides: Overrides,
  onSummary: (summary: RunSummary) => void,
): Promise<void> {
  const worker = new Worker(new URL("./seed-worker.ts", import.meta.url), {
    workerData: overrides,
  });
  let seed: bigint | null = null;
  const ended = new Promise<void>((resolve, reject) => {
    let watchdog: ReturnType<typeof setTimeout> | undefined;
    const give = (): void => {
      clearTimeout(watchdog);
      seed = next();
      if (seed === null) return resolve();
      worker.postMessage(seed);
      watchdog = setTimeout(() => {
        reject(new Error(`seed ${seed} hangs: it has not ended within ${seedMsMax / 1000} s`));
      }, seedMsMax);
    };
    worker.on("message", (run: RunSummary) => {
      onSummary(run);
      give();
    });
    worker.on("error", (error) => {
      reject(new Error(`seed ${seed} broke the simulator: ${String(error)}`, { cause: error }));
    });
    give();
  });
  return ended.finally(() => void worker.terminate());
}
