#!/usr/bin/env node
/** The command line: `holdfast COMMAND …`. */
import process from "node:process";
import { exit, statusOf } from "./command.ts";
import { run } from "./run.ts";

/** Runs a command and ends the process: connections that are kept alive would keep it as well. */
async function main(argv: readonly string[]): Promise<void> {
  // A reader that goes away (`… | head`) ends the command without a word.
  process.stdout.on("error", () => process.exit(exit.failed));
  try {
    process.exit(await run(argv));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`holdfast: ${message.replaceAll(/\s*\n\s*/g, " ")}\n`);
    process.exit(statusOf(error));
  }
}

await main(process.argv.slice(2));
