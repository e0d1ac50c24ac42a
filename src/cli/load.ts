/**
 * `load`: stores every file below a directory. Each put takes effect once, however often it has to be sent, so it gets
 * through whatever happens to nodes meanwhile.
 */
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import process from "node:process";
import { type Client, ClientError } from "../client/mod.ts";
import { countSchema, VALUE_BYTES_LIMIT } from "../config/options.ts";
import { BadConfiguration } from "../errors.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import {
  clientFlags,
  clientFrom,
  clientHelp,
  type Command,
  isDirectory,
  readFlag,
  statusOf,
} from "./command.ts";
import { contentTypeOf } from "./content-type.ts";
import { exit, printAnswer, problemOf, shown, tell, tellProgress, wantsJson } from "./output.ts";

const CONCURRENCY_DEFAULT = 16;
const TIMEOUT_DEFAULT = "60s";
/** Between two lines of progress, and between two strokes of a progress bar. */
const PLAIN_INTERVAL_MS = 2_000;
const BAR_INTERVAL_MS = 100;
const BAR_CHARACTERS = 30;
/** Failures told one by one. */
const FAILURES_SHOWN = 10;

const concurrency: FlagSpec = { takes: "a number from 1 to 256" };

/** `load`. */
export const load: Command = {
  summary: "store every file below a directory",
  help: `holdfast load DIR [--prefix PREFIX]

Stores every file below DIR under PREFIX and its path in DIR, with its content type. Each put
takes effect once, however often it has to be sent, so it gets through a leader's death.

  --prefix P         stands before each path, as it is: --prefix docs/ gives docs/a/b.txt
  --concurrency N    files on their way at a time (default ${CONCURRENCY_DEFAULT})${
    clientHelp.replace("(default 15s)", `with a file (default ${TIMEOUT_DEFAULT})`)
  }

With --json: {"files","bytes","seconds","retries","failed"}, and on standard error a line for each
file that failed, with its "path".

Exit status: 0 all are stored, 2 wrong command line, else that of the first file that failed:
5 no node could serve it, 6 its outcome is unknown, 7 it was refused or can't be read.
`,
  syntax: {
    flags: { prefix: { takes: "a prefix" }, concurrency, ...clientFlags },
    operands: ["DIR"],
  },
  run: async (args) => {
    const [directory = ""] = args.operands;
    if (!isDirectory(directory)) {
      throw new BadConfiguration(`DIR takes a directory that can be read; got ${shown(directory)}`);
    }
    const at = readFlag(args, "concurrency", concurrency, countSchema(1, 256));
    const flags = { timeout: TIMEOUT_DEFAULT, ...args.flags };
    const progress = new Progress(args);
    const client = clientFrom({ ...args, flags }, () => progress.retries++);
    const paths = await filesBelow(directory);
    progress.start(paths.length);
    const job = { client, directory, prefix: args.flags["prefix"] ?? "", progress };
    const queue = paths.values();
    await Promise.all(
      Array.from({ length: at ?? CONCURRENCY_DEFAULT }, async () => {
        for (const path of queue) await storeOne(job, path);
      }),
    );
    await progress.end();
    return progress.status;
  },
};

interface Job {
  readonly client: Client;
  readonly directory: string;
  readonly prefix: string;
  readonly progress: Progress;
}

async function storeOne({ client, directory, prefix, progress }: Job, path: string): Promise<void> {
  try {
    const value = await readBounded(`${directory}/${path}`);
    await client.put(`${prefix}${path}`, value, { contentType: contentTypeOf(path) });
    progress.stored(value.length);
  } catch (error) {
    progress.failed(path, error);
  }
}

/** Paths of all files below a directory, with slashes, in order. Links are followed to files, not to directories. */
async function filesBelow(directory: string, below = ""): Promise<string[]> {
  const paths: string[] = [];
  const entries = await readdir(below === "" ? directory : `${directory}/${below}`, {
    withFileTypes: true,
  });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) paths.push(...(await filesBelow(directory, path)));
    else if (entry.isFile()) paths.push(path);
    else if (entry.isSymbolicLink()) {
      const target = await stat(`${directory}/${path}`).catch(() => null);
      if (target?.isFile() === true) paths.push(path);
    }
  }
  return paths;
}

async function readBounded(path: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // One byte more than any node takes is enough to be refused by all.
  for await (const chunk of createReadStream(path, { end: VALUE_BYTES_LIMIT })) {
    chunks.push(chunk);
    length += chunk.length;
  }
  if (length > VALUE_BYTES_LIMIT) throw new Error(`larger than ${VALUE_BYTES_LIMIT} bytes`);
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

/** Counts, and tells: a bar on a terminal, a line now and then elsewhere; both on standard error. */
class Progress {
  retries = 0;
  /** The exit status, so far. */
  status: number = exit.done;
  #files = 0;
  #bytes = 0;
  #failures = 0;
  #total = 0;
  #since = performance.now();
  #timer: ReturnType<typeof setInterval> | null = null;
  readonly #args: Arguments;
  readonly #isTerminal: boolean;

  constructor(args: Arguments) {
    this.#args = args;
    this.#isTerminal = process.stderr.isTTY === true && !wantsJson(args);
  }

  start(total: number): void {
    this.#total = total;
    this.#since = performance.now();
    const interval = this.#isTerminal ? BAR_INTERVAL_MS : PLAIN_INTERVAL_MS;
    this.#timer = setInterval(() => this.#tell(), interval);
  }

  stored(bytes: number): void {
    this.#files++;
    this.#bytes += bytes;
  }

  failed(path: string, error: unknown): void {
    this.#failures++;
    if (this.status === exit.done) this.status = statusOf(error);
    if (this.#failures > FAILURES_SHOWN && !wantsJson(this.#args)) return;
    const outcome = error instanceof ClientError && error.outcome === "unknown"
      ? " (its outcome is unknown)"
      : "";
    const { detail, ...fields } = problemOf(error);
    this.#clear();
    tell(this.#args, "load", `${path}: ${String(detail)}${outcome}`, { path, ...fields });
  }

  async end(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#clear();
    const seconds = ((performance.now() - this.#since) / 1000).toFixed(1);
    const failures = this.#failures === 0 ? "" : `, ${this.#failures} failed`;
    await printAnswer(
      this.#args,
      {
        files: this.#files,
        bytes: this.#bytes,
        seconds: Number(seconds),
        retries: this.retries,
        failed: this.#failures,
      },
      `loaded ${this.#files} files, ${this.#bytes} bytes in ${seconds} s, ${this.retries} retries${failures}\n`,
    );
  }

  #tell(): void {
    const done = this.#files + this.#failures;
    const counts = `${done}/${this.#total} files, ${this.#bytes} bytes, ${this.retries} retries`;
    if (!this.#isTerminal) {
      tellProgress(this.#args, counts);
      return;
    }
    const filled = Math.round(BAR_CHARACTERS * done / Math.max(1, this.#total));
    const bar = "#".repeat(filled).padEnd(BAR_CHARACTERS, "-");
    process.stderr.write(`\r[${bar}] ${counts}\x1b[K`);
  }

  #clear(): void {
    if (this.#isTerminal) process.stderr.write("\r\x1b[K");
  }
}
