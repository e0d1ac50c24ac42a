/** Twice the load that a cluster can carry, for minutes: what it still does, who leads, and what memory it takes. */
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../../test/matrix/harness/cluster.ts";
import { run, type RuntimeName } from "../../test/matrix/harness/node-process.ts";
import { type Bench, NODES, type Section, startHoldfast } from "../bench.ts";
import { type Holdfast, readOverHttp } from "../holdfast.ts";
import { type OpenLoad, openLoadInChild, type OpenLoadResult, putValue } from "../open-loop.ts";
import { memoryOf } from "../proc.ts";
import { isInstalled } from "../programs.ts";
import { count, mebibytes, milliseconds, ratio } from "../table.ts";
import { judge, type Verdict, verdictCell } from "../targets.ts";
import { keyOf, nextStamp } from "../workload.ts";
import { WrongData } from "../written.ts";

/** The best is looked for at so many connections, each with a request under way. */
const BEST_AT = [64, 256, 1024] as const;
const BEST_SECONDS = 5;
const OVERLOAD = 2;
/** Enough that those who wait for an answer don't keep the load from coming. */
const CONNECTIONS = 4096;
const KEYS = 20_000;
const SAMPLE = 200;
const LOOK_MS = 1000;

type Through = "leader" | "all nodes";

interface Look {
  readonly second: number;
  /** Of each node, in bytes. */
  readonly resident: readonly number[];
}

interface OverloadMeasurement {
  readonly runtime: RuntimeName;
  readonly through: Through;
  readonly best: number;
  readonly bestAfter: number;
  readonly offered: number;
  readonly result: Omit<OpenLoadResult, "last">;
  readonly leaderChanges: number;
  readonly looks: readonly Look[];
}

export async function overload(bench: Bench): Promise<Section> {
  const measurements: OverloadMeasurement[] = [];
  for (const runtime of bench.options.runtimes) {
    for (const through of ["leader", "all nodes"] as const) {
      const what = `overload, ${runtime}, through ${through}`;
      const measured = await bench.attempt(what, () => measure(bench, runtime, through));
      if (measured !== null) measurements.push(measured);
    }
  }
  return sectionOf(measurements, bench.options.overloadSeconds);
}

async function measure(
  bench: Bench,
  runtime: RuntimeName,
  through: Through,
): Promise<OverloadMeasurement> {
  const { options: { valueBytes, overloadSeconds }, progress } = bench;
  progress(`${runtime}: starting`);
  await using holdfast = await startHoldfast(bench, runtime, NODES);
  const { cluster } = holdfast;
  const pinned = await isInstalled("taskset") ? await pin(holdfast) : null;
  const leader = cluster.node(await holdfast.leader());
  const urls = through === "leader" ? [leader.url] : cluster.urls;
  const drive = async (load: Pick<OpenLoad, "perSecond" | "seconds" | "connections">) =>
    await openLoadInChild({ ...load, urls, keys: KEYS, valueBytes, stamp: nextStamp() }, pinned);
  const closed = async (connections: number): Promise<number> => {
    progress(`${runtime}, through ${through}: ${connections} connections that wait for answers`);
    return rateOf(await drive({ perSecond: null, seconds: BEST_SECONDS, connections }));
  };
  await closed(BEST_AT[1]);
  const rates: number[] = [];
  for (const connections of BEST_AT) rates.push(await closed(connections));
  const best = Math.max(...rates);
  const before = await cluster.status(leader);
  const offered = Math.round(OVERLOAD * best);
  progress(`${runtime}, through ${through}: ${offered} puts/s for ${overloadSeconds} s`);
  const stamp = nextStamp();
  const load = { perSecond: offered, seconds: overloadSeconds, connections: CONNECTIONS };
  const looking = new AbortController();
  const looks = look(holdfast, looking.signal);
  const whole = { ...load, urls, keys: KEYS, valueBytes, stamp };
  const { last, ...result } = await openLoadInChild(whole, pinned);
  looking.abort();
  const after = await cluster.status(cluster.node(await holdfast.leader()));
  await verify(holdfast, {
    last,
    result,
    stamp,
    valueBytes,
    grown: after.revision - before.revision,
  });
  const bestAfter = await closed(BEST_AT[rates.indexOf(best)] ?? BEST_AT[1]);
  const leaderChanges = after.term - before.term;
  return { runtime, through, best, bestAfter, offered, result, leaderChanges, looks: await looks };
}

/** Gives the nodes all processors but the last, which the generator gets. Whether that was possible. */
async function pin(holdfast: Holdfast): Promise<number | null> {
  const { stdout } = await run(["nproc", "--all"]);
  const last = Number(stdout) - 1;
  if (!(last >= 1)) return null;
  for (const pid of holdfast.pids()) {
    await run(["taskset", "-a", "-p", "-c", `0-${last - 1}`, String(pid)]);
  }
  return last;
}

async function look(holdfast: Holdfast, signal: AbortSignal): Promise<Look[]> {
  const looks: Look[] = [];
  for (let second = 0; !signal.aborted; second++) {
    looks.push({ second, resident: holdfast.pids().map((pid) => memoryOf(pid).resident) });
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
  }
  return looks;
}

interface Outcome {
  readonly last: ReadonlyMap<number, number>;
  readonly result: Pick<OpenLoadResult, "statuses">;
  readonly stamp: string;
  readonly valueBytes: number;
  /** By how many revisions the store went on. */
  readonly grown: number;
}

/** @throws {WrongData} where a put that was acknowledged isn't there, or one that was refused is. */
async function verify(holdfast: Holdfast, outcome: Outcome): Promise<void> {
  const { last, result: { statuses }, stamp, valueBytes, grown } = outcome;
  const acknowledged = acknowledgedIn(statuses);
  const unknown = (statuses[504] ?? 0) + (statuses[0] ?? 0) + (statuses[500] ?? 0);
  if (grown < acknowledged || grown > acknowledged + unknown) {
    throw new WrongData(`${grown} revisions for ${acknowledged} puts, ${unknown} unknown`);
  }
  if (unknown > 0) return;
  const step = Math.max(1, Math.floor(last.size / SAMPLE));
  for (const [key, n] of [...last].filter((_, at) => at % step === 0)) {
    for (const { id, url } of holdfast.cluster.nodes) {
      const read = () => readOverHttp(holdfast.cluster.http, url, keyOf(key));
      const value = await eventually(`an answer from ${id}`, read);
      if (value !== putValue({ stamp, valueBytes }, n)) {
        throw new WrongData(`${id} has ${value?.slice(0, 40)} for put ${n} of ${keyOf(key)}`);
      }
    }
  }
}

function acknowledgedIn(statuses: OpenLoadResult["statuses"]): number {
  return (statuses[200] ?? 0) + (statuses[201] ?? 0);
}

function rateOf({ statuses, seconds }: Pick<OpenLoadResult, "statuses" | "seconds">): number {
  return acknowledgedIn(statuses) / seconds;
}

/** Mebibytes a minute that the largest node grew by in the second half, by least squares. */
export function slopeOf(looks: readonly Look[]): number {
  const half = looks.slice(Math.floor(looks.length / 2));
  const slopes = (half[0]?.resident ?? []).map((_, node) => {
    const points = half.map(({ second, resident }) =>
      [second / 60, resident[node] ?? NaN] as const
    );
    const mean = (at: 0 | 1): number =>
      points.reduce((sum, point) => sum + point[at], 0) / points.length;
    const [x, y] = [mean(0), mean(1)];
    const over = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
    return over / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  });
  return Math.max(...slopes);
}

const heads = [
  ...["runtime", "through", "best/s", "offered/s", "sent/s", "done/s", "÷ best", "best after"],
  ...["p50 ms", "p99 ms", "429", "other", "elections", "MiB after", "MiB/min"],
];

function sectionOf(measurements: readonly OverloadMeasurement[], seconds: number): Section {
  const verdicts: Verdict[] = [];
  const rows = measurements.map(({ runtime, through, result, looks, ...measured }) => {
    const { best, bestAfter, offered, leaderChanges } = measured;
    const { statuses, accepted, sent } = result;
    const done = rateOf(result);
    const other = sent - acknowledgedIn(statuses) - (statuses[429] ?? 0);
    const verdict = judge("overload", runtime, done / best);
    if (through === "leader") verdicts.push(verdict);
    const largest = Math.max(...looks.at(-1)?.resident ?? []);
    return [
      ...[runtime, through, count(best), count(offered), count(sent / result.seconds)],
      ...[count(done), verdictCell(verdict), ratio(bestAfter / best)],
      ...[milliseconds(accepted.p50), milliseconds(accepted.p99)],
      ...[count(statuses[429] ?? 0), count(other), count(leaderChanges)],
      ...[mebibytes(largest), mebibytes(slopeOf(looks))],
    ];
  });
  const notes = rows.length === 0 ? [] : [
    `best: the most of ${
      BEST_AT.join(", ")
    } connections that wait for answers, ${BEST_SECONDS} s each, before; best after: the same again`,
    `offered: ${OVERLOAD} × best for ${seconds} s, on ${CONNECTIONS} connections; sent is less where all of them wait`,
    "the generator has a processor of its own where there are several, the nodes share the others",
    "the store went on by a revision for each put that was acknowledged, and none that was refused; a sample was read back from every node",
    "MiB after: of the largest node; MiB/min: by which the one that grew most grew in the second half",
  ];
  return { title: "Twice the load", heads, rows, notes, data: measurements, verdicts };
}
