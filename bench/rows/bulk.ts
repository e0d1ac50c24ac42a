/** Batches and transactions against the leader, beside etcd's single puts: both take turns in every round. */
import type { RuntimeName } from "../../test/matrix/harness/node-process.ts";
import { type Bench, NODES, type Section, startEtcd, startHoldfast } from "../bench.ts";
import { type BulkMethod, putsIn } from "../bulk.ts";
import type { Holdfast } from "../holdfast.ts";
import { count, milliseconds, NONE, ratio, spread } from "../table.ts";
import { judge, JUDGED_OUTSTANDING, type Verdict, verdictCell } from "../targets.ts";
import { type Measured, median, nextStamp } from "../workload.ts";

/** Connections, with one request on its way on each. */
const OUTSTANDING: Readonly<Record<BulkMethod, number>> = { batch: 32, transaction: 256 };
const WARM_UP_SECONDS = 3;

interface BulkMeasurement {
  readonly runtime: RuntimeName;
  readonly method: BulkMethod;
  readonly outstanding: number;
  readonly holdfast: readonly Measured[];
  /** Puts, one a request. */
  readonly etcd: readonly Measured[];
}

export async function bulk(bench: Bench): Promise<Section> {
  const measurements: BulkMeasurement[] = [];
  for (const runtime of bench.options.runtimes) {
    const measured = await bench.attempt(
      `batch and transaction, ${runtime}`,
      () => measureRuntime(bench, runtime),
    );
    if (measured !== null) measurements.push(...measured);
  }
  return sectionOf(measurements);
}

async function measureRuntime(bench: Bench, runtime: RuntimeName): Promise<BulkMeasurement[]> {
  const { options: { rows, rounds, seconds, keys, valueBytes }, progress } = bench;
  const space = { keys, valueBytes };
  progress(`${runtime}: starting`);
  await using stack = new AsyncDisposableStack();
  const etcd = bench.etcd && bench.h2load !== null
    ? stack.use(await startEtcd(bench, NODES))
    : null;
  const holdfast = stack.use(await startHoldfast(bench, runtime, NODES));
  const methods = (["batch", "transaction"] as const).filter((method) => rows.includes(method));
  const etcdPuts: Measured[] = [];
  const samples = methods.map(() => [] as Measured[]);
  const putAtEtcd = async (): Promise<void> => {
    if (etcd === null) return;
    progress(`${runtime}: puts at etcd`);
    const work = { method: "PUT", outstanding: JUDGED_OUTSTANDING, seconds } as const;
    etcdPuts.push(await etcd.measure({ ...work, ...space, stamp: nextStamp() }));
  };
  await etcd?.fill(space);
  await holdfast.fill(space);
  for (const method of methods) await measure(holdfast, method, { ...space, warmUp: true });
  for (let round = 1; round <= rounds; round++) {
    if (round % 2 === 1) await putAtEtcd();
    for (const [at, method] of methods.entries()) {
      progress(`${runtime}: round ${round} of ${rounds}: ${method}`);
      samples[at]?.push(await measure(holdfast, method, { ...space, seconds }));
    }
    if (round % 2 === 0) await putAtEtcd();
    for (const system of etcd === null ? [holdfast] : [etcd, holdfast]) {
      await system.written.verify(system, keys);
    }
  }
  return methods.map((method, at) => ({
    ...{ runtime, method, outstanding: OUTSTANDING[method] },
    ...{ holdfast: samples[at] ?? [], etcd: etcdPuts },
  }));
}

function measure(
  holdfast: Holdfast,
  method: BulkMethod,
  { keys, valueBytes, ...how }:
    & { readonly keys: number; readonly valueBytes: number }
    & ({ readonly seconds: number } | { readonly warmUp: true }),
): Promise<Measured> {
  const seconds = "seconds" in how ? how.seconds : WARM_UP_SECONDS;
  const outstanding = OUTSTANDING[method];
  return holdfast.measureBulk({
    method,
    outstanding,
    seconds,
    keys,
    valueBytes,
    stamp: nextStamp(),
  });
}

const heads = [
  "runtime",
  "request",
  "puts in it",
  "outstanding",
  "requests/s",
  "puts/s (min–max)",
  "p50 ms",
  "p99 ms",
  "failed",
  "etcd PUT/s (min–max)",
  "puts/s ÷ etcd",
];

/** The table of what was measured. */
export function sectionOf(measurements: readonly BulkMeasurement[]): Section {
  const verdicts: Verdict[] = [];
  const rows = measurements.map(({ runtime, method, outstanding, holdfast, etcd }) => {
    const rates = holdfast.map(({ perSecond }) => perSecond);
    const puts = rates.map((rate) => rate * putsIn[method]);
    const value = median(puts) / median(etcd.map(({ perSecond }) => perSecond));
    let cell = ratio(value);
    if (method === "batch" && Number.isFinite(value)) {
      const verdict = judge("batch", runtime, value);
      verdicts.push(verdict);
      cell = verdictCell(verdict);
    }
    const failed = holdfast.reduce((sum, one) => sum + one.failed, 0);
    return [
      ...[runtime, method, String(putsIn[method]), String(outstanding)],
      ...[count(median(rates)), spread(puts, count)],
      milliseconds(median(holdfast.map(({ p50 }) => p50))),
      milliseconds(median(holdfast.map(({ p99 }) => p99))),
      count(failed),
      etcd.length === 0 ? NONE : spread(etcd.map(({ perSecond }) => perSecond), count),
      cell,
    ];
  });
  const notes = rows.length === 0 ? [] : [
    `a transaction checks that one of its keys exists; etcd's are single puts, ${JUDGED_OUTSTANDING} outstanding`,
    "read back after every round: each sample held what was acknowledged",
  ];
  return {
    title: "Many operations in one request, against the leader",
    ...{ heads, rows, notes, data: measurements, verdicts },
  };
}
