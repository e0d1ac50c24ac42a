#!/usr/bin/env node
/** The command line: `holdfast COMMAND …`. */
import process from "node:process";
import { BadConfiguration } from "../errors.ts";
import { parseArguments } from "./arguments.ts";
import { cluster } from "./cluster.ts";
import { type Command, exit, print, statusOf } from "./command.ts";
import { demo } from "./demo.ts";
import { del, get, list, put } from "./kv.ts";
import { load } from "./load.ts";
import { runNode } from "./node.ts";
import { status } from "./status.ts";

const commands: Readonly<Record<string, Command>> = {
  cluster,
  demo,
  put,
  get,
  del,
  list,
  load,
  status,
};

const summaries: readonly (readonly [string, string])[] = [
  ["node", "run one node in this process"],
  ...Object.entries(commands).map(([name, { summary }]) => [name, summary] as const),
  ["help", "this, or a command's own help"],
];

const overview = `holdfast COMMAND …

${summaries.map(([name, summary]) => `  ${name.padEnd(8)} ${summary}`).join("\n")}

holdfast help COMMAND tells more.
`;

async function run(argv: readonly string[]): Promise<number> {
  const [name = "help", ...rest] = argv;
  if (name === "help" || name === "--help" || name === "-h") return await help(rest);
  if (name === "node") return await runNode(rest);
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    const known = summaries.map(([each]) => each).join(", ");
    throw new BadConfiguration(`${JSON.stringify(name.slice(0, 100))} is no command: ${known}`);
  }
  const args = parseArguments(rest, command.syntax);
  if (!args.help) return await command.run(args);
  await print(command.help);
  return exit.done;
}

async function help([name]: readonly string[]): Promise<number> {
  if (name === "node") return await runNode(["--help"]);
  const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined;
  await print(command?.help ?? overview);
  return name === undefined || command !== undefined ? exit.done : exit.usage;
}

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
