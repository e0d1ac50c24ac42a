/** Processes for tests, under the runtime that runs the tests. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { thisRuntime } from "../../src/cli/node.ts";
import { commandOf } from "../../src/cli/runtime-command.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

const batch = fileURLToPath(new URL("batch.ts", import.meta.url));

/** A process and what it has said so far. */
export interface Running {
  /** Of one that has ended nothing is asked. */
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<Ended>;
  /** Resolves when standard output holds a whole line that matches; rejects where the process ends before. */
  line(pattern: RegExp): Promise<string>;
  /** The same of standard error. */
  errorLine(pattern: RegExp): Promise<string>;
}

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: readonly string[], input: string, env: Record<string, string>): Running {
  const [binary = "", ...args] = command;
  const child = spawn(binary, args, { cwd: root, env: { ...process.env, ...env } });
  const said = { stdout: "", stderr: "" };
  const listeners = new Set<() => void>();
  for (const name of ["stdout", "stderr"] as const) {
    child[name].on("data", (chunk) => {
      said[name] += chunk;
      for (const listener of listeners) listener();
    });
  }
  child.stdin.end(input);
  const ended = once(child, "close").then(([status]) => ({ status, ...said }));
  const lineOf = async (name: keyof typeof said, pattern: RegExp): Promise<string> => {
    const found = () => said[name].split("\n").slice(0, -1).find((each) => pattern.test(each));
    const seen = new Promise<string>((resolve) => {
      const listener = (): void => {
        const each = found();
        if (each !== undefined) resolve(each);
      };
      listeners.add(listener);
      listener();
    });
    const early = ended.then((end) => {
      throw new Error(`ended with ${end.status} before ${pattern}: ${end.stderr}`);
    });
    return await Promise.race([seen, early]);
  };
  // Not `child.kill`: after it Deno says of every end that the signal was the reason.
  const kill = (signal: NodeJS.Signals): void => {
    const isAlive = child.exitCode === null && child.signalCode === null;
    if (child.pid !== undefined && isAlive) process.kill(child.pid, signal);
  };
  return {
    kill,
    ended,
    line: (pattern) => lineOf("stdout", pattern),
    errorLine: (pattern) => lineOf("stderr", pattern),
  };
}

/** Starts a node. */
export function startNode(flags: readonly string[], env: Record<string, string> = {}): Running {
  return run([...commandOf(thisRuntime), ...flags], "", env);
}

/** Starts a command of the command line. */
export function startCli(
  args: readonly string[],
  options: { readonly input?: string; readonly env?: Record<string, string> } = {},
): Running {
  const command = thisRuntime === "deno" ? [process.execPath, "run", "-A"] : [process.execPath];
  return run([...command, main, ...args], options.input ?? "", options.env ?? {});
}

/** Runs command lines one after the other in one process; resolves with how each ended. */
export async function runBatch(
  lines: readonly (readonly string[])[],
  env: Record<string, string>,
): Promise<readonly Ended[]> {
  const command = thisRuntime === "deno" ? [process.execPath, "run", "-A"] : [process.execPath];
  const { stdout, stderr } = await run([...command, batch, JSON.stringify(lines)], "", env).ended;
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout);
}

/** A port that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** A directory of its own, and its removal. */
export async function temporaryDirectory(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "holdfast-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
