/** Runs seeds, and prints a line for each: what two runtimes have to agree on. */
import process from "node:process";
import { simulate } from "./run.ts";

const seconds = 20;

for (const seed of process.argv.slice(2)) {
  const { hash, probes } = await simulate(BigInt(seed), { seconds });
  console.log(`${seed} ${hash} ${probes.count("snapshot taken")} snapshots`);
}
