/** What every command has: a syntax, a help text, a way to a client, and an exit status that scripts can use. */
import { statSync } from "node:fs";
import process from "node:process";
import * as v from "valibot";
import {
  type Client,
  ClientError,
  type ClientErrorCode,
  type Condition,
  connect,
  type ConnectOptions,
  isPassing,
} from "../client/mod.ts";
import { countSchema, durationSchema, flagOf, originSchema } from "../config/options.ts";
import { BadConfiguration } from "../errors.ts";
import { accessFlags, accessHelp, readAccess, wantsTls } from "./access.ts";
import type { Arguments, FlagSpec, Syntax } from "./arguments.ts";
import { exit, jsonFlag, problemOf, tell, tellProgress } from "./output.ts";

/** One command. */
export interface Command {
  /** One line, for the list of commands. */
  readonly summary: string;
  /** How it is called and what its flags mean. */
  readonly help: string;
  readonly syntax: Syntax;
  /** Resolves with the exit status. @throws {BadConfiguration} {ClientError} */
  run(args: Arguments): Promise<number>;
}

/** A single attempt's end. */
export const ATTEMPT_TIMEOUT_MS = 5_000;
/** What is over by then is not told. */
const QUIET_MS = 2_000;
const ENDPOINTS_DEFAULT = "http://127.0.0.1:4001,http://127.0.0.1:4002,http://127.0.0.1:4003";
const TLS_ENDPOINTS_DEFAULT = ENDPOINTS_DEFAULT.replaceAll("http:", "https:");

const endpointsSchema = v.pipe(
  v.string(),
  v.transform((text) => text.split(",")),
  v.array(originSchema),
  v.minLength(1),
);

/** Flags of every command that talks to a cluster. */
export const clientFlags:
  & Readonly<Record<"json" | "endpoints" | "timeout", FlagSpec>>
  & typeof accessFlags = {
    json: jsonFlag,
    endpoints: { takes: "URLs with commas between, such as http://127.0.0.1:4001" },
    timeout: { takes: "a duration, such as 15s" },
    ...accessFlags,
  };

/** The lines of help about {@link clientFlags}. */
export const clientHelp: string = `
  --json             print the answer as JSON, and an error as one JSON line on standard error
  --endpoints URLS   the nodes to ask, one after the other, with commas between
                     (HOLDFAST_ENDPOINTS; default ${ENDPOINTS_DEFAULT})
  --timeout T        give up after this long (default 15s)${accessHelp}`;

/** A flag's value, read by `schema`; undefined where it isn't given. @throws {BadConfiguration} */
export function readFlag<T>(
  { flags }: Arguments,
  name: string,
  spec: FlagSpec,
  schema: v.GenericSchema<string, T>,
): T | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  const result = v.safeParse(schema, text);
  if (result.success) return result.output;
  throw new BadConfiguration(
    `${flagOf(name)} takes ${spec.takes}; got ${JSON.stringify(text.slice(0, 100))}`,
  );
}

/** What a command can do, by its first word. */
export type Actions = Readonly<Record<string, (args: Arguments) => Promise<number>>>;

/** What the first word asks of `command`. @throws {BadConfiguration} where there is no such thing. */
export function actionOf(args: Arguments, command: string, actions: Actions): Actions[string] {
  const [action = ""] = args.operands;
  const run = Object.hasOwn(actions, action) ? actions[action] : undefined;
  if (run !== undefined) return run;
  const known = Object.keys(actions).join(", ");
  throw new BadConfiguration(`${command} takes ${known}; got ${JSON.stringify(action)}`);
}

/** What stands without a flag, at a place. */
export interface OperandSpec {
  readonly at: number;
  readonly name: string;
  /** Completes "takes …". */
  readonly takes: string;
}

/** The operand, read by `schema`. @throws {BadConfiguration} */
export function readOperand<T>(
  { operands }: Arguments,
  { at, name, takes }: OperandSpec,
  schema: v.GenericSchema<string, T>,
): T {
  const text = operands[at];
  if (text === undefined) throw new BadConfiguration(`${name} is missing; see --help`);
  const result = v.safeParse(schema, text);
  if (result.success) return result.output;
  throw new BadConfiguration(
    `${name} takes ${takes}; got ${JSON.stringify(text.slice(0, 100))}`,
  );
}

/** An id behind the action. */
export const idOperand: OperandSpec = {
  at: 1,
  name: "ID",
  takes: "1 to 64 of A-Z a-z 0-9 . _ -",
};

/** Where the cluster is. @throws {BadConfiguration} */
export function readEndpoints(args: Arguments): readonly string[] {
  const preset = wantsTls(args) ? TLS_ENDPOINTS_DEFAULT : ENDPOINTS_DEFAULT;
  const given = args.flags["endpoints"] ?? (process.env["HOLDFAST_ENDPOINTS"] || preset);
  const flags = { endpoints: given };
  return readFlag({ ...args, flags }, "endpoints", clientFlags.endpoints, endpointsSchema) ?? [];
}

/** How long a call may take, in milliseconds. @throws {BadConfiguration} */
export function readTimeout(args: Arguments, preset: number): number {
  return readFlag(args, "timeout", clientFlags.timeout, durationSchema(1, 86_400_000)) ?? preset;
}

/** The client that the flags ask for. @throws {BadConfiguration} */
export function clientFrom(
  args: Arguments,
  onRetry: (error: ClientError) => void = retriesTold(args),
): Client {
  return connect({ ...connectOptions(args, 15_000), onRetry });
}

/** How the flags say that the cluster is asked, for so long unless they say that as well. @throws {BadConfiguration} */
export function connectOptions(
  args: Arguments,
  timeoutMs: number,
): Pick<ConnectOptions, "endpoints" | "timeoutMs" | "token" | "fetch"> {
  return {
    endpoints: readEndpoints(args),
    timeoutMs: readTimeout(args, timeoutMs),
    ...readAccess(args),
  };
}

/** Tells of attempts that fail, once they have done so for a while. */
export function retriesTold(args: Arguments): (error: ClientError) => void {
  let since = -Infinity;
  let last = -Infinity;
  let told = "";
  return (error) => {
    const now = performance.now();
    // What failed long ago was answered since.
    if (now - last > 2 * ATTEMPT_TIMEOUT_MS) since = now;
    last = now;
    if (now - since < QUIET_MS || told === error.message) return;
    told = error.message;
    tellProgress(args, `${error.message}; trying on`);
  };
}

/** Flags of a change's condition. */
export const conditionFlags: Readonly<Record<"ifRevision" | "ifAbsent" | "ifPresent", FlagSpec>> = {
  ifRevision: { takes: "a revision, such as 12" },
  ifAbsent: { takes: "", bare: true },
  ifPresent: { takes: "", bare: true },
};

/** The condition that the flags ask for. @throws {BadConfiguration} */
export function readCondition(args: Arguments): Condition | undefined {
  const given = Object.keys(conditionFlags).filter((name) => args.flags[name] !== undefined);
  if (given.length > 1) {
    throw new BadConfiguration(`${given.map(flagOf).join(" and ")} exclude each other`);
  }
  const schema = countSchema(1, Number.MAX_SAFE_INTEGER);
  const revision = readFlag(args, "ifRevision", conditionFlags.ifRevision, schema);
  if (revision !== undefined) return { ifRevision: revision };
  if (args.flags["ifAbsent"] !== undefined) return { ifAbsent: true };
  if (args.flags["ifPresent"] !== undefined) return { ifPresent: true };
  return undefined;
}

/** The exit status that an error stands for. */
export function statusOf(error: unknown): number {
  if (error instanceof BadConfiguration) return exit.usage;
  if (!(error instanceof ClientError)) return exit.failed;
  if (error.outcome === "unknown") return exit.unknown;
  if (error.code === "precondition_failed" || error.code === "not_found") return exit.no;
  return isPassing(error) ? exit.unavailable : exit.failed;
}

const refusals: ReadonlySet<ClientErrorCode> = new Set([
  "bad_request",
  "not_found",
  "change_in_progress",
]);

/** Runs `action`; what the cluster refuses for good is told, and answered with `status`. */
export async function refusedAs(
  args: Arguments,
  command: string,
  status: number,
  action: () => Promise<number>,
): Promise<number> {
  try {
    return await action();
  } catch (error) {
    const isRefusal = error instanceof ClientError && refusals.has(error.code) &&
      error.outcome !== "unknown";
    if (!isRefusal) throw error;
    tell(args, command, error.message, problemOf(error));
    return status;
  }
}

/** A line about what a node has become. */
export function officeLine(office: {
  readonly id: string;
  readonly role: string;
  readonly term: number;
  readonly leader: string | null;
}): string {
  const { id, role, term, leader } = office;
  const whom = role === "leader" ? "" : leader === null ? ", and knows no leader" : ` of ${leader}`;
  return `${id} is ${role}${whom} in term ${term}`;
}

/** Whether a path is a directory. */
export function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
