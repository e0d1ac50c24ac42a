/** Runs in a copy of the tree: seeds, one after the other, up to the first that fails. A line of JSON for each. */
import process from "node:process";
import { simulate } from "../run.ts";

const [seconds, ...seeds] = process.argv.slice(2);
for (const seed of seeds) {
  const { failure } = await simulate(BigInt(seed), { seconds: Number(seconds) });
  process.stdout.write(`${JSON.stringify({ seed, failure })}\n`);
  if (failure !== null) break;
}
