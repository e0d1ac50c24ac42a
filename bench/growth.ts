/** How throughput and p99 go as one thing grows: keys, values, nodes or clients. */
import type { RuntimeName } from "../test/matrix/harness/node-process.ts";
import { type Bench, NODES, type Section, startEtcd, startHoldfast } from "./bench.ts";
import type { GrowthName } from "./options.ts";
import { memoryOf, settled } from "./proc.ts";
import type { Replicated } from "./system.ts";
import { count, mebibytes, milliseconds, ratio } from "./table.ts";
import { type Measured, median, nextStamp } from "./workload.ts";

const WARM_UP_SECONDS = 3;
const OUTSTANDING = 256;
/** 64 values of 64 KiB under way are 4 MiB; 256 would be all that the log takes at a time. */
const OUTSTANDING_LARGE = 64;

/** One line of a table. A step begins with new clusters where nodes or values are others than before. */
interface Step {
  /** What grows, as it stands in the table. */
  readonly at: string;
  readonly nodes: number;
  readonly keys: number;
  readonly valueBytes: number;
  readonly outstanding: number;
}

interface Point extends Step {
  readonly system: string;
  readonly put: readonly Measured[];
  readonly get: readonly Measured[];
  /** Of the node that has most, in bytes. */
  readonly resident: number;
}

const titles: Readonly<Record<GrowthName, string>> = {
  keys: "Growth: keys in the store",
  values: "Growth: bytes of a value",
  nodes: "Growth: nodes",
  clients: "Growth: requests outstanding",
};

/** The steps of a table, least first. */
export function stepsOf(
  name: GrowthName,
  { keys, bigKeys, valueBytes }: Bench["options"],
): readonly Step[] {
  const usual = { nodes: NODES, keys, valueBytes, outstanding: OUTSTANDING };
  switch (name) {
    case "keys": {
      const sizes = [1000, 10_000, 100_000, 1_000_000, 10_000_000].filter((one) => one <= bigKeys);
      if (sizes.at(-1) !== bigKeys) sizes.push(bigKeys);
      return sizes.map((one) => ({ ...usual, at: count(one), keys: one }));
    }
    case "values":
      return [16, 256, 1024, 4096, 16_384, 65_536].map((one) => ({
        ...{ ...usual, at: count(one), valueBytes: one, outstanding: OUTSTANDING_LARGE },
      }));
    case "nodes":
      return [1, 3, 5].map((one) => ({ ...usual, at: count(one), nodes: one }));
    case "clients":
      return [1, 4, 16, 64, 256, 1024].map((one) => ({
        ...{ ...usual, at: count(one), outstanding: one },
      }));
  }
}

export async function growth(bench: Bench, name: GrowthName): Promise<Section> {
  const { options: { runtimes } } = bench;
  const steps = stepsOf(name, bench.options);
  const points: Point[] = [];
  const systems: ("etcd" | RuntimeName)[] = [
    ...(bench.etcd && bench.h2load !== null ? ["etcd"] as const : []),
    ...runtimes,
  ];
  for (const system of systems) {
    await bench.attempt(`growth of ${name}, ${system}`, () => climb(bench, system, steps, points));
  }
  return {
    title: titles[name],
    heads: [
      "system",
      name,
      ...["PUT/s", "× before", "p99 ms", "× before"],
      ...["GET/s", "× before", "p99 ms", "× before", "RSS MiB"],
    ],
    rows: points.map((point, at) => rowOf(point, points[at - 1])),
    notes: [`“× before” is the figure ÷ that of the line above, of the same system`],
    data: points,
    verdicts: [],
  };
}

/** Adds a point a step, so that what was measured before a failure is kept. */
async function climb(
  bench: Bench,
  system: "etcd" | RuntimeName,
  steps: readonly Step[],
  points: Point[],
): Promise<void> {
  let store: Replicated | null = null;
  let last: Step | null = null;
  try {
    for (const step of steps) {
      bench.progress(`${system}: ${step.at}`);
      if (last?.nodes !== step.nodes || last.valueBytes !== step.valueBytes) {
        await store?.[Symbol.asyncDispose]();
        store = await (system === "etcd"
          ? startEtcd(bench, step.nodes)
          : startHoldfast(bench, system, step.nodes));
        last = null;
      }
      if (store === null) return;
      const from = last?.keys ?? 0;
      if (step.keys > from) {
        await store.fill({ from, keys: step.keys, valueBytes: step.valueBytes });
      }
      points.push({ ...step, system, ...await measure(bench, store, step) });
      last = step;
    }
  } finally {
    await store?.[Symbol.asyncDispose]();
  }
}

async function measure(
  { options: { rounds, seconds } }: Bench,
  store: Replicated,
  { keys, valueBytes, outstanding }: Step,
): Promise<Pick<Point, "put" | "get" | "resident">> {
  const shape = { seconds, keys, valueBytes, outstanding };
  await store.measure({ ...shape, seconds: WARM_UP_SECONDS, method: "PUT", stamp: nextStamp() });
  await settled(store.pids());
  const resident = Math.max(...store.pids().map((pid) => memoryOf(pid).resident));
  const [put, get] = [[] as Measured[], [] as Measured[]];
  for (let round = 0; round < rounds; round++) {
    // Gets first, and at rest: what puts leave behind to do, such as a snapshot, is part of what puts cost.
    await settled(store.pids());
    get.push(await store.measure({ ...shape, method: "GET", stamp: nextStamp() }));
    put.push(await store.measure({ ...shape, method: "PUT", stamp: nextStamp() }));
    await store.written.verify(store, keys);
  }
  return { put, get, resident };
}

function rowOf(point: Point, above: Point | undefined): string[] {
  const before = above?.system === point.system ? above : undefined;
  const figure = (
    method: "put" | "get",
    name: "perSecond" | "p99",
    show: (value: number) => string,
  ): [string, string] => {
    const of = (one: Point | undefined): number =>
      median((one?.[method] ?? []).map((sample) => sample[name]));
    return [show(of(point)), ratio(of(point) / of(before))];
  };
  return [
    point.system,
    point.at,
    ...figure("put", "perSecond", count),
    ...figure("put", "p99", milliseconds),
    ...figure("get", "perSecond", count),
    ...figure("get", "p99", milliseconds),
    mebibytes(point.resident),
  ];
}
