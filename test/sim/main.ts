/** `npm run sim`: runs seeds, and says what they came to. */
import process from "node:process";
import { help, readArguments, type SimArguments } from "./arguments.ts";
import { commit } from "./commit.ts";
import { describeOptions, drawOptions } from "./options.ts";
import { Probes } from "./probes.ts";
import { type RunResult, simulate } from "./run.ts";
import { command, shrink } from "./shrink.ts";

const progressEveryMs = 2000;

class Totals {
  readonly probes: Probes = new Probes();
  readonly failed: bigint[] = [];
  readonly #startedAt = performance.now();
  #runs = 0;
  #simulated = 0;
  #operations = 0;
  #events = 0;
  #faults = 0;
  #slowest = { seconds: 0, seed: 0n };
  #printedAt = performance.now();

  add(result: RunResult): void {
    this.#runs++;
    this.#simulated += result.simulatedSeconds;
    this.#operations += result.operations;
    this.#events += result.events;
    this.#faults += result.faultsInjected;
    this.probes.add(result.probes);
    const { seed } = result.options;
    if (result.failure !== null) this.failed.push(seed);
    else if (result.recoverySeconds > this.#slowest.seconds) {
      this.#slowest = { seconds: result.recoverySeconds, seed };
    }
    if (performance.now() - this.#printedAt < progressEveryMs) return;
    this.#printedAt = performance.now();
    console.log(this.line());
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  line(): string {
    const rate = Math.round(this.#simulated / this.seconds);
    return `${this.#runs} seeds, ${this.failed.length} failed, ${
      Math.round(this.#simulated)
    } simulated s in ` +
      `${
        this.seconds.toFixed(1)
      } s (${rate} a second), ${this.#operations} operations, ${this.#faults} faults, ` +
      `${this.#events} events`;
  }

  report(): string {
    const { seconds, seed } = this.#slowest;
    return `${this.line()}\nslowest recovery: ${
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
    `commit: ${commit() ?? "unknown"}\nagain: ${again}\n${describeOptions(result.options)}`,
  );
  console.log(`the last of each node:\n${result.trace.tail()}\n`);
}

async function run(args: SimArguments): Promise<number> {
  const { seed: first, overrides, minutes } = args;
  const totals = new Totals();
  const single = args.seeds === 1;
  const printLine = args.trace ? (line: string) => console.log(line) : null;
  console.log(`commit ${commit() ?? "unknown"}, from seed ${first}`);
  for (let i = 0; i < args.seeds && (minutes === null || totals.seconds < minutes * 60); i++) {
    const seed = first + BigInt(i);
    if (single) console.log(`seed ${seed}\n${describeOptions(drawOptions(seed, overrides))}`);
    const result = await simulate(seed, overrides, printLine);
    totals.add(result);
    if (single) console.log(`trace hash ${result.hash}`);
    if (result.failure === null) continue;
    printFailure(result, command(seed, overrides));
    if (!args.shrink) continue;
    const smaller = await shrink(result, overrides, (what, { failure }) => {
      console.log(`  ${what}: ${failure === null ? "holds" : "still fails"}`);
    });
    printFailure(smaller.result, command(seed, smaller.overrides));
  }
  console.log(`\n${totals.report()}`);
  if (totals.failed.length > 0) console.log(`failed seeds: ${totals.failed.join(" ")}`);
  return totals.failed.length > 0 ? 1 : 0;
}

async function main(): Promise<number> {
  try {
    const args = readArguments(process.argv.slice(2));
    if (!args.help) return await run(args);
    console.log(help);
    return 0;
  } catch (error) {
    if (!(error instanceof RangeError) && !(error instanceof TypeError)) throw error;
    console.error(error.message);
    return 2;
  }
}

process.exitCode = await main();
