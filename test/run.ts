/**
 * Runs the test suites (`npm test`), two at a time: much of what they do is waiting. Each one's output comes in one
 * piece when it has ended; a line says meanwhile what runs. What failed is told again at the end, and then it ends with
 * 1. Names choose suites: `node test/run.ts node sim`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { text } from "node:stream/consumers";

/** The longest first. */
const suites = ["matrix", "node", "deno", "bun", "sim", "docs"] as const;
const lanes = 2;
const progressMs = 30_000;
/** Where a runner begins to tell what failed: Node's, Deno's, and Bun's, which tells the reason right before. */
const failures = /^✖ failing tests:|^.*\bERRORS\b|^.*\(fail\)/m;
const reasonCharacters = 4000;
const retoldCharacters = 20_000;

interface Outcome {
  readonly suite: string;
  readonly passed: boolean;
  readonly seconds: number;
  readonly output: string;
}

const running = new Map<string, number>();

async function runSuite(suite: string): Promise<Outcome> {
  const startedAt = performance.now();
  running.set(suite, startedAt);
  process.stdout.write(`test: ${suite} begins\n`);
  const child = spawn("npm", ["run", "--silent", `test:${suite}`], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [output, errors, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  running.delete(suite);
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  process.stdout.write(`\n=== test:${suite}\n${output}${errors}`);
  return { suite, passed: status === 0, seconds, output: output + errors };
}

async function runLane(waiting: string[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let suite = waiting.shift(); suite !== undefined; suite = waiting.shift()) {
    outcomes.push(await runSuite(suite));
  }
  return outcomes;
}

const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !suites.some((suite) => suite === name));
if (unknown.length > 0) {
  process.stderr.write(`test: no suite ${unknown.join(", ")}; there are ${suites.join(", ")}\n`);
  process.exit(2);
}
const waiting: string[] = suites.filter((suite) => chosen.length === 0 || chosen.includes(suite));
const progress = setInterval(() => {
  const names = [...running].map(([suite, since]) =>
    `${suite} for ${Math.round((performance.now() - since) / 1000)} s`
  );
  process.stdout.write(
    `test: running ${names.join(", ")}; waiting: ${waiting.join(", ") || "none"}\n`,
  );
}, progressMs);
const outcomes = (await Promise.all(Array.from({ length: lanes }, () => runLane(waiting)))).flat();
clearInterval(progress);
for (const { suite, passed, output } of outcomes) {
  if (passed) continue;
  const at = Math.max(output.search(failures) - reasonCharacters, 0);
  process.stdout.write(`\n=== failed in test:${suite}\n`);
  process.stdout.write(`${output.slice(at, at + retoldCharacters)}\n`);
}
process.stdout.write("\n");
for (const { suite, passed, seconds } of outcomes) {
  process.stdout.write(`test:${suite} ${passed ? "passed" : "FAILED"} after ${seconds} s\n`);
}
process.exitCode = outcomes.every(({ passed }) => passed) ? 0 : 1;
