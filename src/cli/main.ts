#!/usr/bin/env node
/** The command line: `holdfast COMMAND …`. */
import process from "node:process";
import { exit } from "./output.ts";
import { runAndTell } from "./run.ts";

/** Runs a command and ends the process: connections that are kept alive would keep it as well. */
async function main(argv: readonly string[]): Promise<void> {
  // A reader that goes away (`… | head`) ends the command without a word.
  process.stdout.on("error", () => process.exit(exit.failed));
  process.exit(await runAndTell(argv));
}

await main(process.argv.slice(2));
