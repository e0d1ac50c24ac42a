/** Events to watchers of the leader, while one client puts; and what they cost it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { root, type RuntimeName } from "../../test/matrix/harness/node-process.ts";
import { type Bench, NODES, type Section, startHoldfast } from "../bench.ts";
import type { Holdfast } from "../holdfast.ts";
import { count, milliseconds, NONE, ratio, spread } from "../table.ts";
import type { Told } from "../watchers.ts";
import { type Measured, median, nextStamp } from "../workload.ts";
import { WrongData } from "../written.ts";

/** None are what the others are compared with. */
const WATCHERS = [0, 1, 100, 1000] as const;
/** As many clients put: one more than one keeps the leader busy while it tells the watchers. */
const OUTSTANDING = 4;
const WARM_UP = { outstanding: 64, seconds: 3 } as const;
/** How long the last events may take, in milliseconds, and how often it is looked. */
const ARRIVAL_MS_MAX = 30_000;
const LOOK_MS = 50;

interface Sample {
  readonly puts: Measured;
  readonly told: Told;
}

interface WatchMeasurement {
  readonly runtime: RuntimeName;
  readonly watchers: number;
  readonly samples: readonly Sample[];
}

export async function watch(bench: Bench): Promise<Section> {
  const measurements: WatchMeasurement[] = [];
  for (const runtime of bench.options.runtimes) {
    const measured = await bench.attempt(`watch, ${runtime}`, () => measureRuntime(bench, runtime));
    if (measured !== null) measurements.push(...measured);
  }
  return sectionOf(measurements);
}

async function measureRuntime(bench: Bench, runtime: RuntimeName): Promise<WatchMeasurement[]> {
  const { options: { rounds, seconds, keys, valueBytes }, progress } = bench;
  const space = { keys, valueBytes };
  progress(`${runtime}: starting`);
  await using holdfast = await startHoldfast(bench, runtime, NODES);
  await holdfast.fill(space);
  await holdfast.measure({ ...WARM_UP, ...space, method: "PUT", stamp: nextStamp() });
  const samples = WATCHERS.map(() => [] as Sample[]);
  for (let round = 1; round <= rounds; round++) {
    for (const [at, watchers] of WATCHERS.entries()) {
      progress(`${runtime}: round ${round} of ${rounds}: ${watchers} watchers`);
      samples[at]?.push(await measure(holdfast, watchers, { ...space, seconds }));
    }
    await holdfast.written.verify(holdfast, keys);
  }
  return WATCHERS.map((watchers, at) => ({ runtime, watchers, samples: samples[at] ?? [] }));
}

async function measure(
  holdfast: Holdfast,
  watchers: number,
  work: { readonly keys: number; readonly valueBytes: number; readonly seconds: number },
): Promise<Sample> {
  const { url } = holdfast.cluster.node(await holdfast.leader());
  await using child = await WatchChild.start(url, watchers);
  const load = { ...work, method: "PUT", outstanding: OUTSTANDING, stamp: nextStamp() } as const;
  const puts = await holdfast.measure(load);
  return { puts, told: await child.toldOf(puts) };
}

/** The process that watches. */
class WatchChild implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #lines: Interface;

  private constructor(process: ChildProcess, lines: Interface) {
    this.#process = process;
    this.#lines = lines;
  }

  static async start(url: string, watchers: number): Promise<WatchChild> {
    const script = [join(root, "bench/watch-child.ts"), url, String(watchers)];
    const child = spawn(join(root, "node_modules/.bin/node"), script, {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const lines = createInterface({ input: child.stdout });
    const ended = once(child, "exit").then(([status]) => {
      throw new Error(`the watchers ended with ${status}`);
    });
    ended.catch(() => {});
    await Promise.race([once(lines, "line"), ended]);
    return new WatchChild(child, lines);
  }

  /**
   * What they were told once all is there that `puts` put.
   * @throws {WrongData} where a watcher that was not cut lacks an event, or has one too many.
   */
  async toldOf({ succeeded, failed }: Measured): Promise<Told> {
    for (let waitedMs = 0;; waitedMs += LOOK_MS) {
      const told = await this.#ask();
      const least = told.events.toSorted((a, b) => a - b)[told.cut] ?? Infinity;
      const most = Math.max(0, ...told.events);
      // What was under way at the end may have been put as well.
      if (most > succeeded + failed + OUTSTANDING) {
        throw new WrongData(`a watcher was told ${most} times of ${succeeded} puts`);
      }
      if (least >= succeeded) return told;
      if (waitedMs >= ARRIVAL_MS_MAX) {
        throw new WrongData(`a watcher was told ${least} times of ${succeeded} puts`);
      }
      await sleep(LOOK_MS);
    }
  }

  async #ask(): Promise<Told> {
    this.#process.stdin?.write("tell\n");
    const [line] = await once(this.#lines, "line");
    return JSON.parse(line) as Told;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }
}

const heads = [
  "runtime",
  "watchers",
  "events/s (min–max)",
  "cut",
  "PUT/s (min–max)",
  "p50 ms",
  "p99 ms",
  "p50 ÷ without watchers",
];

/** The table of what was measured. */
export function sectionOf(measurements: readonly WatchMeasurement[]): Section {
  const rows = measurements.map(({ runtime, watchers, samples }) => {
    const alone = measurements.find((one) => one.runtime === runtime && one.watchers === 0);
    const p50 = middle(samples, "p50");
    const rates = samples.map(({ told }) =>
      told.events.reduce((sum, events) => sum + events, 0) / told.seconds
    );
    return [
      ...[runtime, count(watchers), watchers === 0 ? NONE : spread(rates, count)],
      count(samples.reduce((sum, { told }) => sum + told.cut, 0)),
      spread(samples.map(({ puts }) => puts.perSecond), count),
      ...[milliseconds(p50), milliseconds(middle(samples, "p99"))],
      watchers === 0 ? NONE : ratio(p50 / middle(alone?.samples ?? [], "p50")),
    ];
  });
  const notes = rows.length === 0 ? [] : [
    `${OUTSTANDING} puts outstanding; each watcher that was not cut was told of every put, once`,
    "cut: read too slowly, and told so, all rounds together",
  ];
  return {
    title: "Watchers of the leader, each told of every put",
    ...{ heads, rows, notes, data: measurements, verdicts: [] },
  };
}

function middle(samples: readonly Sample[], figure: "p50" | "p99"): number {
  return median(samples.map(({ puts }) => puts[figure]));
}
