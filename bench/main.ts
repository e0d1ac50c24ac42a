/** `npm run bench`: this store beside bare Hono and etcd, in the same run. See {@link help}. */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Bench, Section } from "./bench.ts";
import { growth } from "./growth.ts";
import { h2loadIn } from "./h2load.ts";
import { BadUsage, help, type Options, readOptions } from "./options.ts";
import { isInstalled, missing } from "./programs.ts";
import { bulk } from "./rows/bulk.ts";
import { disk } from "./rows/disk.ts";
import { failover } from "./rows/failover.ts";
import { large } from "./rows/large.ts";
import { overload } from "./rows/overload.ts";
import { throughput } from "./rows/throughput.ts";
import { watch } from "./rows/watch.ts";
import { endAll } from "./system.ts";
import { table } from "./table.ts";
import { verdictTable } from "./targets.ts";
import { ownDriver, wrkDriver } from "./wrk.ts";
import { WrongData } from "./written.ts";

const exit = { done: 0, wrongData: 1, badUsage: 2, partFailed: 3 } as const;

/** One line that is written over on a terminal, lines elsewhere. */
function progress(text: string): void {
  const { stderr } = process;
  stderr.write(stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

function tell(text: string): void {
  process.stderr.write(`${process.stderr.isTTY ? "\r\x1b[K" : ""}bench: ${text}\n`);
}

/** Finds the programs, and says which are missing. */
async function prepare(options: Options, directory: string): Promise<Bench> {
  const wrk = options.driver !== "own" && await isInstalled("wrk");
  if (!wrk && options.driver === "wrk") throw new BadUsage(missing("wrk"));
  if (!wrk && options.driver === null) tell(`${missing("wrk")}: driving with a generator in Node`);
  const etcd = options.against === "etcd" && await isInstalled("etcd");
  if (options.against === "etcd" && !etcd) tell(`${missing("etcd")}: running the rest`);
  const h2load = etcd && await isInstalled("h2load");
  if (etcd && !h2load) tell(`${missing("h2load")}: etcd's puts and gets are left out`);
  return {
    ...{ options, etcd, progress, attempt },
    drive: wrk ? wrkDriver(directory) : ownDriver,
    h2load: h2load ? h2loadIn(directory) : null,
  };
}

async function attempt<T>(what: string, part: () => Promise<T>): Promise<T | null> {
  try {
    return await part();
  } catch (error) {
    const wrong = error instanceof WrongData;
    // Wrong data outweighs whatever else fails.
    if (process.exitCode !== exit.wrongData) {
      process.exitCode = wrong ? exit.wrongData : exit.partFailed;
    }
    tell(`${what}: ${wrong ? `WRONG DATA: ${error.message}` : String(error)}`);
    for (let cause = error; cause instanceof Error && !wrong; cause = cause.cause) {
      process.stderr.write(`${cause.stack ?? cause.message}\n`);
    }
    return null;
  }
}

async function sectionsOf(bench: Bench): Promise<Section[]> {
  const { rows, growth: grown } = bench.options;
  const wants = (...names: readonly string[]): boolean => rows.some((row) => names.includes(row));
  return [
    ...(wants("put", "get") ? [await throughput(bench)] : []),
    ...(wants("batch", "transaction") ? [await bulk(bench)] : []),
    ...(wants("watch") ? [await watch(bench)] : []),
    ...(wants("overload") ? [await overload(bench)] : []),
    ...(wants("failover") ? [await failover(bench)] : []),
    ...(wants("disk") ? [await disk(bench)] : []),
    ...(wants("memory", "restart", "snapshot") ? await large(bench) : []),
    ...await inTurn(grown, (name) => growth(bench, name)),
  ];
}

async function inTurn<In, Out>(
  items: readonly In[],
  act: (item: In) => Promise<Out>,
): Promise<Out[]> {
  const results: Out[] = [];
  for (const item of items) results.push(await act(item));
  return results;
}

function report(bench: Bench, sections: readonly Section[]): string {
  const { options, drive } = bench;
  const machine = `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? "unknown processor"}`;
  const driver = drive === ownDriver ? "a generator in Node" : "wrk";
  const verdicts = sections.flatMap((section) => section.verdicts);
  if (options.json) {
    const plain = sections.map(({ title, notes, data }) => ({ title, notes, data }));
    return JSON.stringify({ machine, driver, options, sections: plain, verdicts }, null, 2);
  }
  const texts = sections.map(({ title, heads, rows, notes }) =>
    [`## ${title}`, "", table(heads, rows), "", ...notes.map((note) => `${note}.`), ""].join("\n")
  );
  if (verdicts.length > 0) texts.push(`## Targets\n\n${verdictTable(verdicts)}\n`);
  const { rounds, seconds, keys, valueBytes } = options;
  const shape = `${rounds} rounds of ${seconds} s; ${keys} keys, values of ${valueBytes} bytes`;
  return [...texts, `${machine}; driven by ${driver}; ${shape} unless a table says otherwise`].join(
    "\n",
  );
}

async function main(): Promise<void> {
  let options: Options | null;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof BadUsage)) throw error;
    tell(error.message);
    process.exitCode = exit.badUsage;
    return;
  }
  if (options === null) {
    process.stdout.write(help);
    return;
  }
  const directory = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  const clear = (): void => rmSync(directory, { recursive: true, force: true });
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      clear();
      void endAll().finally(() => process.exit(signal === "SIGINT" ? 130 : 143));
    });
  }
  try {
    const bench = await prepare(options, directory);
    const sections = await sectionsOf(bench);
    progress("");
    process.stdout.write(`${report(bench, sections)}\n`);
  } catch (error) {
    if (!(error instanceof BadUsage)) throw error;
    tell(error.message);
    process.exitCode = exit.badUsage;
  } finally {
    clear();
  }
}

await main();
