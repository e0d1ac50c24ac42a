/** From a command line to the command that it names. */
import { BadConfiguration } from "../errors.ts";
import { parseArguments } from "./arguments.ts";
import { backup, verify } from "./backup.ts";
import { cluster } from "./cluster.ts";
import { type Command, statusOf } from "./command.ts";
import { config } from "./config.ts";
import { demo } from "./demo.ts";
import { get, list } from "./kv-read.ts";
import { add, del, put } from "./kv-write.ts";
import { leader } from "./leader.ts";
import { lease } from "./lease.ts";
import { load } from "./load.ts";
import { lock } from "./lock.ts";
import { member } from "./member.ts";
import { runNode } from "./node.ts";
import { exit, jsonFlag, print, printAnswer, tellError } from "./output.ts";
import { restore } from "./restore.ts";
import { snapshot } from "./snapshot.ts";
import { status } from "./status.ts";
import { role } from "./role.ts";
import { token } from "./token.ts";
import { batch, txn } from "./txn.ts";
import { wal } from "./wal.ts";
import { watch } from "./watch.ts";

/** Every command but `node` and `help`. */
export const commands: Readonly<Record<string, Command>> = {
  cluster,
  config,
  demo,
  put,
  add,
  get,
  del,
  list,
  watch,
  txn,
  batch,
  lease,
  lock,
  load,
  status,
  member,
  leader,
  token,
  role,
  backup,
  verify,
  restore,
  wal,
  snapshot,
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

/**
 * Runs a command line, as it stands behind `holdfast`. Resolves with the exit status.
 * @throws what `statusOf` has an exit status for.
 */
export async function run(argv: readonly string[]): Promise<number> {
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

/** Runs a command line and says what went wrong with it. Resolves with the exit status. */
export async function runAndTell(argv: readonly string[]): Promise<number> {
  try {
    return await run(argv);
  } catch (error) {
    tellError(argv, error);
    return statusOf(error);
  }
}

async function help(argv: readonly string[]): Promise<number> {
  const args = parseArguments(argv, { flags: { json: jsonFlag }, operands: ["[COMMAND]"] });
  const [name] = args.operands;
  if (name === "node") return await runNode(["--help"]);
  const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined;
  const document = command === undefined
    ? { commands: summaries.map(([name, summary]) => ({ name, summary })) }
    : { name, summary: command.summary, help: command.help };
  await printAnswer(args, document, command?.help ?? overview);
  return name === undefined || command !== undefined ? exit.done : exit.usage;
}
