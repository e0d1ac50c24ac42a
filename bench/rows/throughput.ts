/** Puts and linearizable gets against the leader: Holdfast, bare Hono and etcd take turns in every round. */
import type { RuntimeName } from "../../test/matrix/harness/node-process.ts";
import { type Bench, NODES, type Section, startEtcd, startHoldfast } from "../bench.ts";
import { BareHono } from "../hono.ts";
import type { System } from "../system.ts";
import { count, milliseconds, NONE, ratio, spread } from "../table.ts";
import {
  judge,
  JUDGED_OUTSTANDING,
  type TargetName,
  type Verdict,
  verdictCell,
} from "../targets.ts";
import { type Measured, median, nextStamp, type Work } from "../workload.ts";

type Role = "holdfast" | "etcd" | "hono";
type Workload = Pick<Work, "method" | "outstanding">;

/** All rounds of one workload on one runtime. */
export interface Measurement extends Workload {
  readonly runtime: RuntimeName;
  readonly holdfast: readonly Measured[];
  readonly etcd: readonly Measured[];
  readonly hono: readonly Measured[];
}

/** Long enough for a just-in-time compiler to be done with what runs hot: a server runs for days. */
const WARM_UP = { outstanding: 256, seconds: 5 } as const;

export async function throughput(bench: Bench): Promise<Section> {
  const measurements: Measurement[] = [];
  for (const runtime of bench.options.runtimes) {
    const measured = await bench.attempt(
      `put and get, ${runtime}`,
      () => measureRuntime(bench, runtime),
    );
    if (measured !== null) measurements.push(...measured);
  }
  return sectionOf(measurements);
}

function workloadsOf({ options: { rows, outstanding } }: Bench): readonly Workload[] {
  const puts = outstanding.put.map((one) => ({ method: "PUT", outstanding: one }) as const);
  const gets = outstanding.get.map((one) => ({ method: "GET", outstanding: one }) as const);
  return [...(rows.includes("put") ? puts : []), ...(rows.includes("get") ? gets : [])];
}

async function measureRuntime(bench: Bench, runtime: RuntimeName): Promise<Measurement[]> {
  const { options: { seconds, rounds, keys, valueBytes }, progress } = bench;
  const workloads = workloadsOf(bench);
  const samples = workloads.map(() => ({
    holdfast: [] as Measured[],
    etcd: [] as Measured[],
    hono: [] as Measured[],
  }));
  progress(`${runtime}: starting`);
  await using stack = new AsyncDisposableStack();
  const systems: [Role, System][] = [];
  if (bench.etcd && bench.h2load !== null) {
    systems.push(["etcd", stack.use(await startEtcd(bench, NODES))]);
  }
  systems.push(["holdfast", stack.use(await startHoldfast(bench, runtime, NODES))]);
  systems.push(["hono", stack.use(await BareHono.start(runtime, bench.drive))]);
  for (const [, system] of systems) await warmUp(system, { keys, valueBytes });
  for (let round = 1; round <= rounds; round++) {
    // In turn, and the other way round every other time: who comes behind whom is no system's advantage.
    const order = round % 2 === 1 ? systems : systems.toReversed();
    for (const [at, workload] of workloads.entries()) {
      for (const [role, system] of order) {
        const what = `${workload.method}, ${workload.outstanding} outstanding, ${system.label}`;
        progress(`${runtime}: round ${round} of ${rounds}: ${what}`);
        const work = { ...workload, seconds, keys, valueBytes, stamp: nextStamp() };
        samples[at]?.[role].push(await system.measure(work));
      }
    }
    for (const [, system] of systems) await system.written.verify(system, keys);
  }
  return workloads.map((workload, at) => ({
    ...{ ...workload, runtime },
    ...(samples[at] ?? { holdfast: [], etcd: [], hono: [] }),
  }));
}

async function warmUp(
  system: System,
  space: { readonly keys: number; readonly valueBytes: number },
): Promise<void> {
  await system.fill(space);
  for (const method of ["PUT", "GET"] as const) {
    await system.measure({ ...WARM_UP, ...space, method, stamp: nextStamp() });
  }
  await system.written.verify(system, space.keys);
}

const heads = [
  "runtime",
  "request",
  "outstanding",
  "Holdfast/s (min–max)",
  "p50 ms",
  "p99 ms",
  "failed",
  "etcd/s (min–max)",
  "p50 ms",
  "p99 ms",
  "rate ÷ etcd",
  "mean ÷ etcd",
  "p99 ÷ etcd",
  "bare Hono/s (min–max)",
  "p99 ms",
  "rate ÷ Hono",
];

/** The table of what was measured; targets stand beside the ratios that have one. */
export function sectionOf(measurements: readonly Measurement[]): Section {
  const verdicts: Verdict[] = [];
  const rows = measurements.map((measurement) => {
    const { runtime, method, outstanding, holdfast, etcd, hono } = measurement;
    const over = (
      peer: readonly Measured[],
      figure: "perSecond" | "mean" | "p99",
      target: TargetName | null,
    ): string => {
      const value = middle(holdfast, figure) / middle(peer, figure);
      if (target === null || !Number.isFinite(value)) return ratio(value);
      const verdict = judge(target, runtime, value);
      verdicts.push(verdict);
      return verdictCell(verdict);
    };
    const judged = outstanding === JUDGED_OUTSTANDING;
    const isPut = method === "PUT";
    return [
      ...[runtime, method, String(outstanding), ...figures(holdfast)],
      count(holdfast.reduce((sum, { failed }) => sum + failed, 0)),
      ...figures(etcd),
      over(etcd, "perSecond", judged ? isPut ? "putRate" : "getRate" : null),
      over(etcd, "mean", isPut && outstanding === 1 ? "putAlone" : null),
      over(etcd, "p99", judged ? isPut ? "putP99" : "getP99" : null),
      ...figures(hono).toSpliced(1, 1),
      over(hono, "perSecond", judged && isPut ? "putHono" : null),
    ];
  });
  const notes = rows.length === 0
    ? []
    : ["read back after every round: each sample of these stores held what was acknowledged"];
  if (measurements.some(({ etcd }) => etcd.length > 0)) {
    notes.push("etcd: one key a run, another each run; Holdfast and Hono: all keys in order");
  }
  return {
    title: "Puts and linearizable gets against the leader",
    ...{ heads, rows, notes, data: measurements, verdicts },
  };
}

function middle(
  samples: readonly Measured[],
  figure: "perSecond" | "mean" | "p50" | "p99",
): number {
  return median(samples.map((sample) => sample[figure]));
}

function figures(samples: readonly Measured[]): string[] {
  if (samples.length === 0) return [NONE, NONE, NONE];
  const rate = spread(samples.map(({ perSecond }) => perSecond), count);
  return [rate, milliseconds(middle(samples, "p50")), milliseconds(middle(samples, "p99"))];
}
