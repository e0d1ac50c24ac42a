/** A node's process: flags, the line on standard output, signals, and the exit status. */
import { writeSync } from "node:fs";
import process from "node:process";
import { createJsonLogger, type JsonLogger, standardError } from "../src/adapters/json-logger.ts";
import { parseArguments } from "../src/cli/arguments.ts";
import { readConfigFile } from "../src/cli/config-file.ts";
import { nodeHelp, readNodeConfig, stopLimits } from "../src/config.ts";
import { nodeOptions } from "../src/config/options.ts";
import { BadConfiguration, CorruptData, DataDirectoryRefused, DiskFailure } from "../src/errors.ts";
import { openNode, type RunningNode, type Runtime } from "./open-node.ts";

/** Exit statuses of a node. */
export const exitStatus = {
  stopped: 0,
  /** An error that nobody foresaw. */
  defect: 1,
  /** A flag is wrong, or its address can't be listened on. */
  badConfiguration: 2,
  /** The data directory is locked, another node's, a removed member's, or corrupt. */
  badData: 3,
  /** A write to disk failed, or an invariant was broken. */
  halted: 4,
} as const;

/** Wrappers (npm, bun run) pass a Ctrl-C on that arrives directly as well: what comes so soon is the same one. */
const REPEATED_SIGNAL_MS = 1000;
const FLUSH_TIMEOUT_MS = 500;

const usage =
  `One Holdfast node. Flags win over environment variables, and those over a file (--config):

${nodeHelp()}  --help, -h
`;

/** Runs a node until a signal or its replica ends it. Never returns otherwise than by the process's end. */
export async function boot(runtime: Runtime, argv: readonly string[]): Promise<void> {
  let logger: JsonLogger | null = null;
  try {
    const { flags, help } = parseArguments(argv, { flags: nodeOptions, operands: [] });
    if (help) return end(exitStatus.stopped, usage, 1);
    const file = readConfigFile(flags, process.env);
    const config = readNodeConfig(flags, process.env, file);
    const { logSink = standardError } = runtime;
    logger = createJsonLogger({ level: config.logLevel, sink: logSink });
    const { log } = logger;
    const signals = new Signals();
    catchDefects(logger);
    for (const warning of [...file?.warnings ?? [], ...config.warnings]) log("warn", warning);
    log("info", "starting", {
      ...config,
      secrets: config.secrets.length,
      rootToken: config.rootToken !== null,
      runtime: runtime.name,
    });
    const { dropped } = logger;
    const opened = openNode(config, runtime, log, dropped);
    const node = await Promise.race([opened, signals.first]);
    if (typeof node === "string") {
      // Nothing was promised yet, and what was begun on disk survives an end at any moment.
      log("info", "stopping before it serves", { signal: node });
      await logger.flush(FLUSH_TIMEOUT_MS);
      return process.exit(exitStatus.stopped);
    }
    say(1, `holdfast ${node.id} listening on ${node.url} (${runtime.name})\n`);
    void node.member.then(({ clusterId }) => log("info", "serving", { url: node.url, clusterId }));
    await run(node, signals, logger);
  } catch (error) {
    await logger?.flush(FLUSH_TIMEOUT_MS);
    const { status, line } = lastWords(error);
    end(status, `holdfast: ${line.replaceAll(/\s*\n\s*/g, " ")}\n`, 2);
  }
}

async function run(node: RunningNode, signals: Signals, logger: JsonLogger): Promise<void> {
  const { log } = logger;
  const removed = node.removed.then(() => "removed" as const);
  const reason = await Promise.race([signals.first, node.halted, removed]);
  if (reason instanceof DataDirectoryRefused) {
    await node.stop();
    throw reason;
  }
  if (reason instanceof Error) {
    log("error", "the node halted", { error: reason });
    await logger.flush(FLUSH_TIMEOUT_MS);
    return process.exit(exitStatus.halted);
  }
  if (reason === "removed") log("info", "this node was removed from its cluster", { id: node.id });
  else log("info", "stopping", { signal: reason });
  const late = new Promise<"late">((resolve) => {
    setTimeout(resolve, stopLimits.stopTimeoutMs, "late");
  });
  const stopped = node.stop().then(() => "stopped" as const);
  const how = await Promise.race([stopped, late, node.halted]);
  log(how === "stopped" ? "info" : "warn", "the node stopped", how === "stopped" ? {} : { how });
  await logger.flush(FLUSH_TIMEOUT_MS);
  process.exit(how instanceof Error ? exitStatus.halted : exitStatus.stopped);
}

/** `first` resolves with the first signal to stop; the same again, a second later, ends the process at once. */
class Signals {
  readonly first: Promise<string>;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.first = promise;
    const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
    for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
      let since = Infinity;
      process.on(signal, () => {
        if (performance.now() - since > REPEATED_SIGNAL_MS) process.exit(128 + numbers[signal]);
        since = Math.min(since, performance.now());
        resolve(signal);
      });
    }
  }
}

/** An error that nobody caught leaves the node in a state that nobody knows: it ends. */
function catchDefects(logger: JsonLogger): void {
  const onDefect = (error: unknown): void => {
    logger.log("error", "an error was not caught", { error });
    void logger.flush(FLUSH_TIMEOUT_MS).then(() => process.exit(exitStatus.defect));
  };
  process.on("uncaughtException", onDefect);
  process.on("unhandledRejection", onDefect);
}

function lastWords(error: unknown): { readonly status: number; readonly line: string } {
  if (error instanceof BadConfiguration) {
    return { status: exitStatus.badConfiguration, line: error.message };
  }
  if (error instanceof DataDirectoryRefused || error instanceof CorruptData) {
    return { status: exitStatus.badData, line: error.message };
  }
  if (error instanceof DiskFailure) {
    return { status: exitStatus.halted, line: `the disk failed: ${error.message}` };
  }
  return {
    status: exitStatus.defect,
    line: error instanceof Error ? error.stack ?? error.message : String(error),
  };
}

function end(status: number, text: string, descriptor: 1 | 2): void {
  say(descriptor, text);
  process.exit(status);
}

/** Written at once, whole, and without an error where nobody listens. */
function say(descriptor: 1 | 2, text: string): void {
  try {
    writeSync(descriptor, text);
  } catch {
    // A closed pipe: there is nobody to tell.
  }
}
