/** `npm run sim`: runs seeds, and says what they came to. */
import process from "node:process";
import { help, readArguments, seedAfter, type SimArguments } from "./arguments.ts";
import { sources } from "./commit.ts";
import { describeOptions, drawOptions } from "./options.ts";
import { Probes } from "./probes.ts";
import { type RunResult, simulate } from "./run.ts";
import { runSeeds, type RunSummary } from "./seeds.ts";
import { command, shrink } from "./shrink.ts";

const progressEveryMs = 2000;
/** Failed runs whose last events are printed, of many. */
const explainedMax = 5;
/** So many seeds reach every probe, or a fault is missing. */
const reachedAllFrom = 1000;

class Totals {
  readonly probes: Probes = new Probes();
  readonly failed: bigint[] = [];
  readonly #startedAt = performance.now();
  readonly #jobs: number;
  runs = 0;
  #simulated = 0;
  #operations = 0;
  #events = 0;
  #faults = 0;
  #slowest = { seconds: 0, seed: 0n };
  #printedAt = performance.now();

  constructor(jobs: number) {
    this.#jobs = jobs;
  }

  add(run: RunSummary): void {
    this.runs++;
    this.#simulated += run.simulatedSeconds;
    this.#operations += run.operations;
    this.#events += run.events;
    this.#faults += run.faultsInjected;
    this.probes.add(run.probes);
    const { seed } = run;
    if (run.failure !== null) this.failed.push(seed);
    else if (run.recoverySeconds > this.#slowest.seconds) {
      this.#slowest = { seconds: run.recoverySeconds, seed };
    }
    if (performance.now() - this.#printedAt < progressEveryMs) return;
    this.#printedAt = performance.now();
    console.log(this.line());
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  line(): string {
    return `${this.runs} seeds, ${this.failed.length} failed, ${
      Math.round(this.#simulated)
    } simulated s in ${this.seconds.toFixed(1)} s, ${this.#operations} operations, ` +
      `${this.#faults} faults, ${this.#events} events`;
  }

  /** How fast it went, and with what load. */
  #speed(): string {
    const perSimulated = (count: number): string => (count / this.#simulated).toFixed(1);
    return `speed: ${
      (this.#simulated / this.seconds).toFixed(1)
    } simulated s a second, ${this.#jobs} at a time, each with ${
      perSimulated(this.#operations)
    } operations and ${perSimulated(this.#events)} events`;
  }

  report(): string {
    const { seconds, seed } = this.#slowest;
    return `${this.line()}\n${this.#speed()}\nslowest recovery: ${
      seconds.toFixed(1)
    } s (seed ${seed})\nprobes:\n${this.probes.report()}`;
  }
}

function printFailure(result: RunResult, again: string): void {
  const { seed } = result.options;
  console.log(
    `\nseed ${seed} FAILED after ${result.simulatedSeconds.toFixed(3)} s: ${result.failure}`,
  );
  console.log(
    `commit: ${sources()}\nagain: ${again}\n${describeOptions(result.options)}`,
  );
  console.log(`the last of each node:\n${result.trace.tail()}\n`);
}

/** One seed, before everybody's eyes. */
async function runOne(args: SimArguments, totals: Totals): Promise<void> {
  const { seed, overrides } = args;
  console.log(`seed ${seed}\n${describeOptions(drawOptions(seed, overrides))}`);
  const printLine = args.trace ? (line: string) => console.log(line) : null;
  const result = await simulate(seed, overrides, printLine);
  totals.add({ ...result, seed, probes: result.probes.counts() });
  console.log(`trace hash ${result.hash}`);
  if (result.failure !== null) await explain(result, args);
}

async function runMany(args: SimArguments, totals: Totals): Promise<void> {
  const { seed: first, overrides, minutes } = args;
  let taken = 0;
  const next = (): bigint | null => {
    const isOver = taken >= args.seeds || (minutes !== null && totals.seconds >= minutes * 60);
    return isOver ? null : seedAfter(first, taken++);
  };
  await runSeeds(next, overrides, args.jobs, (run) => {
    totals.add(run);
    if (run.failure !== null) console.log(`seed ${run.seed} FAILED: ${run.failure}`);
  });
  for (const seed of totals.failed.slice(0, explainedMax)) {
    await explain(await simulate(seed, overrides), args);
  }
}

async function explain(result: RunResult, { overrides, ...args }: SimArguments): Promise<void> {
  const { seed } = result.options;
  printFailure(result, command(seed, overrides));
  if (!args.shrink) return;
  const smaller = await shrink(result, overrides, (what, { failure }) => {
    console.log(`  ${what}: ${failure === null ? "holds" : "still fails"}`);
  });
  printFailure(smaller.result, command(seed, smaller.overrides));
}

async function run(args: SimArguments): Promise<number> {
  const totals = new Totals(args.seeds === 1 ? 1 : args.jobs);
  console.log(`commit ${sources()}, from seed ${args.seed}`);
  await (args.seeds === 1 ? runOne(args, totals) : runMany(args, totals));
  console.log(`\n${totals.report()}`);
  const { failed, runs } = totals;
  if (failed.length > 0) console.log(`failed seeds: ${failed.join(" ")}`);
  const missing = runs < reachedAllFrom ? [] : totals.probes.unreached();
  if (missing.length > 0) console.log(`never reached in ${runs} seeds: ${missing.join(", ")}`);
  return failed.length + missing.length > 0 ? 1 : 0;
}

async function main(): Promise<number> {
  let args: SimArguments;
  try {
    args = readArguments(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof RangeError) && !(error instanceof TypeError)) throw error;
    console.error(error.message);
    return 2;
  }
  if (!args.help) return await run(args);
  console.log(help);
  return 0;
}

process.exitCode = await main();
