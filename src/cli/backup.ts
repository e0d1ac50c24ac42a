/** `backup`, `verify`: the whole store as a file, and whether a file is one. */
import { accessSync, constants } from "node:fs";
import { stdin } from "node:process";
import { NodeFileSystem } from "../adapters/node-fs.ts";
import { type BackupSummary, checkBackup } from "../backup/check.ts";
import { readFile, writeFile } from "../backup/file.ts";
import { type BackupHeader, type BackupTotals, openBackup } from "../backup/format.ts";
import { type Client, ClientError, isPassing } from "../client/mod.ts";
import { BadConfiguration, DiskFailure, MalformedBytes } from "../errors.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import { clientFlags, clientFrom, clientHelp, type Command, isDirectory } from "./command.ts";
import { exit, jsonFlag, print, printAnswer, shown, tell, tellProgress } from "./output.ts";

/** Between two lines of progress. */
const PROGRESS_MS = 2_000;
/** A stream that brings nothing for so long has broken off. */
const SILENCE_MS = 60_000;
/** A backup that broke off is begun anew so often. */
const ATTEMPTS_MAX = 3;

const stale: FlagSpec = { takes: "", bare: true };

/** `backup`. */
export const backup: Command = {
  summary: "write the whole store into a file, while it serves",
  help: `holdfast backup FILE
holdfast backup - > FILE

Writes the store as it is now, with its history, leases and kept answers: consistent, whatever is
written meanwhile, and checked as it comes. FILE gets its name when all of it is on the disk.
Prints its revision, its size and its SHA-256; how far it is, on standard error.

  --stale            of a node's own state, also where no leader is known${clientHelp}

Exit status: 0 done, 2 wrong command line, 5 no node could give one, 7 it broke off, or FILE can't
be written.
`,
  syntax: { flags: { stale, ...clientFlags }, operands: ["FILE"] },
  run: async (args) => {
    const [file = "-"] = args.operands;
    if (file !== "-" && isDirectory(file)) {
      throw new BadConfiguration(`FILE takes a file, not a directory: ${shown(file)}`);
    }
    const client = clientFrom(args);
    for (let attempt = 1;; attempt++) {
      try {
        const taken = await take(args, client, file);
        if (file === "-") tellProgress(args, lineOf("standard output", taken));
        else await printAnswer(args, { file, ...documentOf(taken) }, `${lineOf(file, taken)}\n`);
        return exit.done;
      } catch (error) {
        // What was written to standard output can't be taken back.
        const isOver = attempt === ATTEMPTS_MAX || file === "-";
        const hasBroken = error instanceof MalformedBytes ||
          (error instanceof ClientError && isPassing(error));
        if (isOver || !hasBroken) throw error;
        tellProgress(args, `${error.message}; beginning anew`);
      }
    }
  },
};

type Taken = BackupHeader & BackupTotals;

async function take(args: Arguments, client: Client, file: string): Promise<Taken> {
  const consistency = args.flags["stale"] === undefined ? "linearizable" : "stale";
  const silence = new AbortController();
  const { bytes, endpoint } = await client.backup({ consistency, signal: silence.signal });
  const came = new Progress(args, () => silence.abort());
  const pass = file === "-"
    ? async (pieces: AsyncIterable<Uint8Array>) => {
      for await (const piece of pieces) await print(piece);
    }
    : async (pieces: AsyncIterable<Uint8Array>) => {
      try {
        await writeFile(new NodeFileSystem(), file, pieces);
      } catch (error) {
        const code = error instanceof ClientError ? null : codeOf(error);
        if (code === null) throw error;
        const why = `FILE can't be written: ${JSON.stringify(file)}: ${code}`;
        throw new DiskFailure(why, { cause: error });
      }
    };
  let taken: Taken | null = null;
  /** Hands on what comes, and ends well only where it is a backup. */
  async function* checked(): AsyncGenerator<Uint8Array, void> {
    const passed: Uint8Array[] = [];
    async function* noted(): AsyncGenerator<Uint8Array, void> {
      for await (const piece of came.of(bytes, endpoint)) {
        passed.push(piece);
        yield piece;
      }
    }
    const opened = await openBackup(noted());
    for await (const _ of opened.chunks) yield* passed.splice(0);
    yield* passed.splice(0);
    taken = { ...opened.header, ...opened.totals() };
  }
  try {
    await pass(checked());
  } finally {
    came.end();
  }
  if (taken === null) throw new Error("a backup without an end");
  return taken;
}

/** Tells how much has come, and breaks off what doesn't come any more. */
class Progress {
  readonly #args: Arguments;
  readonly #onSilence: () => void;
  #bytes = 0;
  #told = performance.now();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(args: Arguments, onSilence: () => void) {
    this.#args = args;
    this.#onSilence = onSilence;
  }

  async *of(
    stream: ReadableStream<Uint8Array>,
    endpoint: string,
  ): AsyncGenerator<Uint8Array, void> {
    const reader = stream.getReader();
    try {
      for (;;) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(this.#onSilence, SILENCE_MS);
        const { done, value } = await reader.read();
        if (done) return;
        this.#count(value.length);
        yield value;
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const fields = { code: "no_answer", status: null, outcome: null, cause: error } as const;
      throw new ClientError(`${endpoint}: the backup broke off: ${why}`, fields);
    } finally {
      void reader.cancel().catch(() => {});
    }
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    const now = performance.now();
    if (now - this.#told < PROGRESS_MS) return;
    this.#told = now;
    tellProgress(this.#args, `${mebibytes(this.#bytes)} so far`);
  }
}

/** `verify`. */
export const verify: Command = {
  summary: "check a backup, without any node",
  help: `holdfast verify FILE
… | holdfast verify -

Reads a backup to its end and checks all of it: form, checksums, and that what it holds is a store.
Prints what that is. It takes the memory of the store; nothing is changed.

  --json             print what it holds as JSON, and an error as one JSON line on standard error

Exit status: 0 it is sound, 1 it is not: the offset says where, 2 wrong command line, or FILE can't
be read.
`,
  syntax: { flags: { json: jsonFlag }, operands: ["FILE"] },
  run: async (args) => {
    const [file = "-"] = args.operands;
    try {
      const summary = await checkBackup(bytesOf(file));
      const document = { file, sound: true, ...documentOf(summary) };
      await printAnswer(args, document, textOf(file, summary));
      return exit.done;
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      return unsound(args, "verify", file, error);
    }
  },
};

/** Says that `file` is no sound backup. Returns the exit status. */
export function unsound(
  args: Arguments,
  command: string,
  file: string,
  { message, offset }: MalformedBytes,
): number {
  const fields = { file, sound: false, offset };
  tell(args, command, `${file} is not a sound backup: ${message}`, fields);
  return exit.no;
}

/** What a FILE holds, `-` being standard input. @throws {BadConfiguration} */
export function bytesOf(file: string): AsyncIterable<Uint8Array> {
  if (file === "-") return stdin;
  if (isDirectory(file)) {
    throw new BadConfiguration(`FILE takes a file, not a directory: ${shown(file)}`);
  }
  try {
    accessSync(file, constants.R_OK);
  } catch (error) {
    const why = `${JSON.stringify(file)} can't be read: ${codeOf(error)}`;
    throw new BadConfiguration(`FILE takes a file that can be read; ${why}`);
  }
  return readFile(new NodeFileSystem(), file);
}

/** The system's word for what went wrong with a file; null where it is something else. */
function codeOf(error: unknown): string | null {
  return error instanceof Error && "code" in error ? String(error.code) : null;
}

function documentOf<T extends BackupHeader>(taken: T): object {
  return { ...taken, takenAt: new Date(taken.takenAt).toISOString() };
}

function lineOf(file: string, { revision, fileBytes, sha256 }: Taken): string {
  return `${shown(file)}: revision ${revision}, ${fileBytes} bytes, SHA-256 ${sha256}`;
}

function textOf(file: string, summary: BackupSummary): string {
  const { clusterId, node, takenAt, software, keys, leases, oldest, bytes, chunks } = summary;
  const at = new Date(takenAt).toISOString();
  return `${lineOf(file, summary)}
sound: ${keys} keys and ${leases} leases; history goes back to revision ${oldest}
state: ${bytes} bytes in ${chunks} chunks
taken: ${at} of cluster ${shown(clusterId)} by ${node}, version ${software}
`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / (1024 * 1024)).toFixed(1)} MiB`;
}
