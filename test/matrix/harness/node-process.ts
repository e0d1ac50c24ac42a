/** One real node: a process of a runtime's own binary, so that its process id is the node's. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

export const root: string = fileURLToPath(new URL("../../..", import.meta.url));

export type RuntimeName = "bun" | "deno" | "node";
export const runtimes: readonly RuntimeName[] = ["bun", "deno", "node"];

const START_TIMEOUT_MS = 20_000;
const STANDARD_ERROR_KEPT = 200;

/** The command that runs a node under a runtime, without a wrapper: these sources, a release that was unpacked, or another script. */
export function nodeCommand(
  runtime: RuntimeName,
  release: string | null = null,
  other?: string,
): readonly [string, ...string[]] {
  const binary = join(root, "node_modules", ".bin", runtime);
  const own = release === null
    ? join(root, "runtimes", `${runtime}.ts`)
    : join(release, "dist", "runtimes", `${runtime}.js`);
  const script = other ?? own;
  if (runtime !== "deno") return [binary, script];
  const allowed = ["net", "read", "write", "env", "sys"].map((name) => `--allow-${name}`);
  return [binary, "run", ...allowed, script];
}

/**
 * The environment without Holdfast's variables, with this project's binaries first, and a place where Node keeps what
 * it compiled: that halves the time that a node under Node takes to start, and a run starts hundreds.
 */
export function cleanEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("HOLDFAST_"))
    .filter(([name]) => !name.startsWith("NODE_TEST") && !name.startsWith("npm_"));
  const environment: Record<string, string> = {};
  for (const [name, value] of kept) if (value !== undefined) environment[name] = value;
  const bin = join(root, "node_modules", ".bin");
  return {
    ...environment,
    PATH: `${bin}:${process.env["PATH"] ?? ""}`,
    NO_COLOR: "1",
    NODE_COMPILE_CACHE: join(root, "node_modules/.cache/holdfast-matrix"),
  };
}

const taken = new Set<number>();

/** A port that nobody listens on, below the range that outgoing connections draw from. */
export function freePort(): Promise<number> {
  return freePorts(1);
}

/** The first of `count` ports in a row that nobody listens on. */
export async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = 15_000 + Math.floor(Math.random() * 15_000);
    const ports = Array.from({ length: count }, (_, at) => first + at);
    if (ports.some((port) => taken.has(port))) continue;
    for (const port of ports) taken.add(port);
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return first;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** A temporary directory that is gone when the scope is left. */
export function temporaryDirectory(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "holdfast-matrix-"));
  return {
    path,
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }),
  };
}

/** What a process that ended said. */
export interface Ended {
  /** The exit status, or the signal that ended it. */
  readonly status: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. */
export async function run(
  [command, ...args]: readonly [string, ...string[]],
  options: {
    readonly timeoutMs?: number;
    readonly env?: Readonly<Record<string, string>>;
    readonly cwd?: string;
  } = {},
): Promise<Ended> {
  const started = new RunningProcess([command, ...args], options);
  const timer = setTimeout(() => started.signal("SIGKILL"), options.timeoutMs ?? START_TIMEOUT_MS);
  const ended = await started.ended;
  clearTimeout(timer);
  return ended;
}

/** A process with what it has said so far. */
export class RunningProcess {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  #stdout = "";
  #stderr: string[] = [];
  #hasEnded = false;
  #listeners = new Set<() => void>();

  constructor(
    [command, ...args]: readonly [string, ...string[]],
    options: {
      readonly env?: Readonly<Record<string, string>>;
      readonly cwd?: string;
      readonly ownGroup?: true;
    } = {},
  ) {
    this.#child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env: { ...cleanEnvironment(), ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: options.ownGroup === true,
    });
    const { stdout, stderr } = this.#child;
    stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      this.#tell();
    });
    stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr.push(text);
      if (this.#stderr.length > STANDARD_ERROR_KEPT) this.#stderr.shift();
    });
    this.ended = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", (code, signal) => {
        this.#hasEnded = true;
        this.#tell();
        const status = signal ?? code ?? -1;
        resolve({ status, stdout: this.#stdout, stderr: this.stderr });
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }
  get hasEnded(): boolean {
    return this.#hasEnded;
  }
  get stdout(): string {
    return this.#stdout;
  }
  get stderr(): string {
    return this.#stderr.join("");
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#hasEnded) this.#child.kill(signal);
  }

  /** As a terminal does on Ctrl-C: to the process and all that it started. Needs `ownGroup`. */
  signalGroup(signal: NodeJS.Signals): void {
    if (!this.#hasEnded) process.kill(-this.pid, signal);
  }

  /** Resolves with the first line of standard output. Rejects where the process ends before it. */
  async firstLine(timeoutMs: number = START_TIMEOUT_MS): Promise<string> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const end = this.#stdout.indexOf("\n");
      if (end >= 0) return this.#stdout.slice(0, end);
      if (this.#hasEnded) throw new Error(`it ended before it served:\n${this.stderr}`);
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`it did not serve within ${timeoutMs} ms:\n${this.stderr}`);
      await this.#news(left);
    }
  }

  #news(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#listeners.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#listeners.add(done);
    });
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Where one node lives and what it is told. */
export interface NodeOptions {
  readonly id: string;
  readonly runtime: RuntimeName;
  readonly port: number;
  readonly data: string;
  readonly peers?: string;
  readonly flags?: readonly string[];
  /** What is run in place of the runtime's own script. */
  readonly script?: string | undefined;
  /** `http` where it isn't said. */
  readonly scheme?: "http" | "https";
}

/** A node that can be started, killed and started again over the same data. */
export class NodeProcess implements AsyncDisposable {
  readonly id: string;
  readonly runtime: RuntimeName;
  readonly url: string;
  readonly data: string;
  /** The directory of the release that its next start runs; null for these sources. */
  release: string | null = null;
  readonly #options: NodeOptions;
  /** What its command begins with: where it is to run. */
  prefix: readonly string[] = [];
  #running: RunningProcess | null = null;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.id = options.id;
    this.runtime = options.runtime;
    this.url = `${options.scheme ?? "http"}://127.0.0.1:${options.port}`;
    this.data = options.data;
  }

  get pid(): number {
    return this.#running?.pid ?? -1;
  }
  get isRunning(): boolean {
    return this.#running !== null && !this.#running.hasEnded;
  }
  get stdout(): string {
    return this.#running?.stdout ?? "";
  }
  get stderr(): string {
    return this.#running?.stderr ?? "";
  }

  /** The whole command line, with `extra` flags behind the others. */
  command(extra: readonly string[] = []): [string, ...string[]] {
    const { id, runtime, port, data, peers, flags = [], script } = this.#options;
    const [binary, ...args] = [...this.prefix, ...nodeCommand(runtime, this.release, script)];
    const own = ["--id", id, "--listen", `127.0.0.1:${port}`, "--data", data];
    return [
      binary ?? "",
      ...args,
      ...own,
      ...(peers === undefined ? [] : ["--peers", peers]),
      ...flags,
      ...extra,
    ];
  }

  /** Starts the process and resolves with its line on standard output, when it serves. */
  async start(extra: readonly string[] = []): Promise<string> {
    if (this.isRunning) throw new Error(`${this.id} runs already`);
    this.#running = new RunningProcess(this.command(extra));
    try {
      return await this.#running.firstLine();
    } catch (error) {
      throw new Error(`${this.id} (${this.runtime})`, { cause: error });
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#running?.signal(signal);
  }

  /** Resolves with how the process ended, once it did so by itself. */
  async ended(): Promise<Ended> {
    if (this.#running === null) throw new Error(`${this.id} was never started`);
    return await this.#running.ended;
  }

  /** Sends a signal and resolves with how the process ended. */
  async end(signal: NodeJS.Signals): Promise<Ended> {
    const running = this.#running;
    if (running === null) throw new Error(`${this.id} was never started`);
    running.signal(signal);
    // A stopped process takes no other signal than KILL before it goes on.
    if (signal !== "SIGKILL") running.signal("SIGCONT");
    return await running.ended;
  }

  async kill(): Promise<void> {
    if (this.isRunning) await this.end("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
