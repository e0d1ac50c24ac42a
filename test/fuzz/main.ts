/** `npm run fuzz`: feeds what takes bytes from outside with changed ones, and keeps what showed something new. */
import process from "node:process";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { toLine, writeCorpus } from "./corpus.ts";
import { inputBytesMax } from "./mutate.ts";
import { targets } from "./targets.ts";
import type { Order, Report } from "./worker.ts";

const help = `npm run fuzz -- [FLAG …]

  --inputs N      inputs in all, dealt out to the targets (default 1000000)
  --seed N        what the inputs are made by (default: the time)
  --targets A,B   of ${targets.map(({ name }) => name).join(", ")} (default all)
  --keep          write what showed something new into test/fuzz/corpus

Ends with 1 where an input crashed its target, took over 10 s, hung it, or took more than 512 MiB; the input is printed
in base64.
`;
const threads = 2;
const heapMiBMax = 512;
/** Without a report for so long a thread hangs, in milliseconds. */
const hangMs = 60_000;
const progressMs = 2000;

interface State {
  readonly target: string;
  inputs: number;
  outcomes: number;
  /** What is wrong with it, and by which input. */
  finding: string | null;
}

function run(
  target: string,
  seed: bigint,
  inputs: number,
  keep: "keep" | "drop",
): [State, Promise<void>] {
  const state: State = { target, inputs: 0, outcomes: 0, finding: null };
  const current = new SharedArrayBuffer(4 + inputBytesMax);
  const order: Order = { target, seed: String(seed), inputs, current };
  const worker = new Worker(new URL("./worker.ts", import.meta.url), {
    workerData: order,
    resourceLimits: { maxOldGenerationSizeMb: heapMiBMax },
  });
  const underWay = (): Uint8Array => {
    const length = new DataView(current).getUint32(0);
    return new Uint8Array(current, 4, length).slice();
  };
  const find = (text: string, input: Uint8Array): void => {
    state.finding ??= `${text}\n  input: ${toLine(input)}`;
    void worker.terminate();
  };
  let hang = setTimeout(() => find("it hangs", underWay()), hangMs);
  worker.on("message", (report: Report) => {
    clearTimeout(hang);
    hang = setTimeout(() => find("it hangs", underWay()), hangMs);
    if (report.type === "found") return find(report.text, report.input);
    state.outcomes = report.outcomes;
    if (report.type === "progress") state.inputs = report.inputs;
    else if (keep === "keep") writeCorpus(target, report.corpus);
  });
  worker.on("error", (error) => find(String(error.stack ?? error), underWay()));
  const ended = new Promise<void>((resolve) => {
    worker.on("exit", () => {
      clearTimeout(hang);
      resolve();
    });
  });
  return [state, ended];
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      inputs: { type: "string", default: "1000000" },
      seed: { type: "string", default: String(Date.now()) },
      targets: { type: "string", default: targets.map(({ name }) => name).join() },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const chosen = values.targets.split(",");
  const unknown = chosen.find((name) => targets.every((target) => target.name !== name));
  if (
    values.help || unknown !== undefined || !/^\d{1,12}$/.test(values.inputs) ||
    !/^\d{1,20}$/.test(values.seed)
  ) {
    process.stderr.write(unknown === undefined ? help : `fuzz: there is no target ${unknown}\n`);
    return values.help ? 0 : 2;
  }
  const seed = BigInt(values.seed);
  const share = Math.ceil(Number(values.inputs) / chosen.length);
  console.log(`fuzz --seed ${seed}: ${share} inputs for each of ${chosen.join(", ")}`);
  const states: State[] = [];
  const since = performance.now();
  const line = (): string => {
    const counts = states.map(({ target, inputs, outcomes }) =>
      `${target} ${inputs} (${outcomes})`
    );
    const mib = Math.round(process.memoryUsage.rss() / 1024 / 1024);
    return `${Math.round((performance.now() - since) / 1000)} s, ${mib} MiB: inputs (outcomes) ${
      counts.join(", ")
    }`;
  };
  const progress = setInterval(() => console.log(line()), progressMs);
  const waiting = chosen.values();
  await Promise.all(Array.from({ length: threads }, async () => {
    for (const target of waiting) {
      const [state, ended] = run(target, seed, share, values.keep ? "keep" : "drop");
      states.push(state);
      await ended;
    }
  }));
  clearInterval(progress);
  const total = states.reduce((sum, { inputs }) => sum + inputs, 0);
  const findings = states.filter(({ finding }) => finding !== null);
  console.log(`${line()}\n${total} inputs, ${findings.length} targets with a defect`);
  for (const { target, finding } of findings) console.error(`\n${target}: ${finding}`);
  return findings.length === 0 ? 0 : 1;
}

process.exitCode = await main();
