/**
 * `npm run sim:mutants`: are the oracles any good? Plants one defect at a time in a copy of the sources and runs seeds
 * until one fails. A defect that survives means that an oracle or a fault is missing. A seed only counts as a catch if
 * it holds without the defect.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { type KeptSeed, keptSeeds } from "./kept.ts";
import { mutants, waiting } from "./mutants/catalog.ts";
import type { Mutant } from "./mutants/mutant.ts";
import { Copy } from "./mutants/tree.ts";
import { seedMsMax } from "./seeds.ts";

const help = `npm run sim:mutants -- [options]: plants defects, and sees which seed finds them

  --only A,B      these defects alone
  --seeds N       seeds that each defect may survive (default 200)
  --first S       the first of them (default 1)
  --seconds T     simulated seconds of the phase with faults (default 60)
  --jobs N        runs at a time (default: the processor's cores)
  --list          what is planted, and what waits
  --help          this

Exit status: 0 where all were caught, 1 where one survived, 2 for a bad command line or a defect that no longer fits.`;

/** A defect that does this was planted wrongly: no oracle has seen it. */
const ownFailure = "the simulator";

/** Simulators at work, to be ended with this process. */
const running = new Set<ChildProcess>();

interface Hunt {
  readonly first: number;
  readonly seeds: number;
  readonly seconds: number;
}

/** The seed that failed and why, or null. */
interface Catch {
  readonly seed: number;
  readonly failure: string;
}

/** Runs `seeds` in `tree`, in a process of its own. */
async function hunt(tree: Copy, seconds: number, seeds: readonly number[]): Promise<Catch | null> {
  const script = join(tree.path, "test/sim/mutants/hunt.ts");
  const child = spawn(process.execPath, [script, String(seconds), ...seeds.map(String)], {
    cwd: tree.path,
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let errors = "";
  child.stderr.on("data", (bytes) => errors = `${errors}${bytes}`.slice(-4000));
  const closed = new Promise<number | null>((resolve) => child.on("close", resolve));
  let done = 0;
  let timer = setTimeout(() => child.kill("SIGKILL"), seedMsMax);
  let caught: Catch | null = null;
  for await (const line of createInterface({ input: child.stdout })) {
    clearTimeout(timer);
    timer = setTimeout(() => child.kill("SIGKILL"), seedMsMax);
    const { seed, failure } = JSON.parse(line);
    done++;
    if (failure !== null) caught = { seed: Number(seed), failure: String(failure) };
  }
  const status = await closed;
  clearTimeout(timer);
  running.delete(child);
  if (caught !== null || status === 0) return caught;
  const last = errors.trim().split("\n").find((line) => /Error|Violation/.test(line)) ?? "";
  const failure = status === null ? `${ownFailure} does not end` : `${ownFailure} fails: ${last}`;
  return { seed: seeds[done] ?? 0, failure };
}

function isBroken({ failure }: Catch): boolean {
  return failure.startsWith(ownFailure);
}

/** What caught a defect, without the particulars of the run. */
function oracleOf(failure: string): string {
  const line = failure.split("\n")[0] ?? "";
  const plain = line.replaceAll(/\[\{.*?\}\]|"[^"]*"/g, "…").replaceAll(/\bn\d+\b/g, "n")
    .replaceAll(
      /\d+(\.\d+)?/g,
      "#",
    );
  return plain.length > 110 ? `${plain.slice(0, 109)}…` : plain;
}

async function each<T>(
  jobs: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await work(next);
  };
  await Promise.all(Array.from({ length: jobs }, worker));
}

async function run(chosen: readonly Mutant[], jobs: number, bounds: Hunt): Promise<number> {
  const seeds = Array.from({ length: bounds.seeds }, (_, i) => bounds.first + i);
  const sound = await Copy.make();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, end);
  const caught = new Map<Mutant, Catch>();
  const idle: KeptSeed[] = [];
  const startedAt = performance.now();
  try {
    await each(jobs, chosen, async (mutant) => {
      const tree = await sound.with(mutant);
      try {
        const found = await hunt(tree, bounds.seconds, seeds);
        if (found !== null) caught.set(mutant, found);
        console.log(row(mutant, found, bounds));
        for (const kept of keptSeeds.filter(({ defect }) => defect === mutant.name)) {
          if (await hunt(tree, kept.seconds, [Number(kept.seed)]) === null) idle.push(kept);
        }
      } finally {
        await tree.remove();
      }
    });
    const controls = [...new Set([...caught.values()].map(({ seed }) => seed))];
    const unsound = new Map<number, string>();
    await each(jobs, controls, async (seed) => {
      const found = await hunt(sound, bounds.seconds, [seed]);
      if (found !== null) unsound.set(seed, found.failure);
    });
    for (const { seed, defect } of idle) {
      console.log(`seed ${seed} is kept for ${defect}, and doesn't fail with it any more`);
    }
    const status = report(chosen, caught, unsound, bounds, performance.now() - startedAt);
    return idle.length > 0 ? 1 : status;
  } finally {
    await sound.remove();
  }
}

/** Leaves nothing behind. */
function end(): void {
  for (const child of running) child.kill("SIGKILL");
  Copy.removeAll();
  process.exit(1);
}

function row(mutant: Mutant, found: Catch | null, { first }: Hunt): string {
  const needed = found === null ? "—" : String(found.seed - first + 1);
  const oracle = found === null
    ? "SURVIVED"
    : `${isBroken(found) ? "BROKEN: " : ""}${oracleOf(found.failure)}`;
  return `${mutant.name.padEnd(36)} ${needed.padStart(5)}  ${oracle}`;
}

function report(
  chosen: readonly Mutant[],
  caught: ReadonlyMap<Mutant, Catch>,
  unsound: ReadonlyMap<number, string>,
  bounds: Hunt,
  ms: number,
): number {
  console.log(`\n${"defect".padEnd(36)} seeds  caught by`);
  for (const mutant of chosen) console.log(row(mutant, caught.get(mutant) ?? null, bounds));
  for (const [seed, failure] of unsound) {
    console.log(`\nseed ${seed} fails without any defect, so it caught nothing: ${failure}`);
  }
  const survivors = chosen.filter((mutant) => !caught.has(mutant));
  const broken = chosen.filter((mutant) => {
    const found = caught.get(mutant);
    return found !== undefined && isBroken(found);
  });
  console.log(
    `\n${
      caught.size - broken.length
    } of ${chosen.length} caught within ${bounds.seeds} seeds of ${bounds.seconds} s, in ${
      Math.round(ms / 1000)
    } s`,
  );
  if (survivors.length > 0) console.log(`survived: ${survivors.map(({ name }) => name).join(" ")}`);
  if (broken.length > 0) console.log(`broken: ${broken.map(({ name }) => name).join(" ")}`);
  return survivors.length + broken.length + unsound.size > 0 ? 1 : 0;
}

function list(): void {
  for (const { name, what } of mutants) console.log(`${name.padEnd(36)} ${what}`);
  for (const { name, why } of waiting) console.log(`${name.padEnd(36)} (waits: ${why})`);
}

function whole(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(`--${name} takes a whole number above 0, not ${text}`);
}

function choose(only: string | undefined): readonly Mutant[] {
  if (only === undefined) return mutants;
  return only.split(",").map((name) => {
    const found = mutants.find((mutant) => mutant.name === name);
    if (found !== undefined) return found;
    throw new RangeError(`--only takes names that --list prints, and ${name} is none`);
  });
}

async function main(): Promise<number> {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: "string" },
        seeds: { type: "string" },
        first: { type: "string" },
        seconds: { type: "string" },
        jobs: { type: "string" },
        list: { type: "boolean" },
        help: { type: "boolean" },
      },
    });
    if (values.help === true) console.log(help);
    else if (values.list === true) list();
    else {
      return await run(choose(values.only), whole("jobs", values.jobs, availableParallelism()), {
        seeds: whole("seeds", values.seeds, 200),
        first: whole("first", values.first, 1),
        seconds: whole("seconds", values.seconds, 60),
      });
    }
    return 0;
  } catch (error) {
    if (!(error instanceof RangeError) && !(error instanceof TypeError)) throw error;
    console.error(error.message);
    return 2;
  }
}

process.exitCode = await main();
