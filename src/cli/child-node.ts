/** A node as a child process: when it serves, what it says about itself, how it ended. */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import * as v from "valibot";
import { officeLine } from "./command.ts";
import { shown } from "./output.ts";

/** What of a node's log is told. */
const logShape = v.object({
  level: v.string(),
  message: v.string(),
  role: v.optional(v.string()),
  term: v.optional(v.number()),
  leader: v.nullish(v.string()),
  error: v.optional(v.string()),
});

/** How a process ended. `how` is for people. */
export interface Ending {
  readonly status: number;
  readonly how: string;
}

/** Spawns a node at once. `say` is told of role changes and of whatever goes wrong. */
export class ChildNode {
  readonly id: string;
  /** The line that it prints when it serves; null where it ended before. */
  readonly serving: Promise<string | null>;
  readonly ended: Promise<Ending>;

  readonly #child: ChildProcess;
  readonly #say: (line: string) => void;
  #lastWords: string | null = null;

  constructor(id: string, command: readonly string[], say: (line: string) => void) {
    this.id = id;
    this.#say = say;
    const [binary = "", ...flags] = command;
    const child = spawn(binary, flags, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    this.ended = new Promise((resolve) => {
      child.once("error", (error) => resolve({ status: 1, how: error.message }));
      // `close` comes after the last line of output, `exit` may come before.
      child.once("close", (code, signal) => resolve(this.#ending(code, signal)));
    });
    const served = new Promise<string>((resolve) => {
      createInterface({ input: child.stdout }).once("line", resolve);
    });
    this.serving = Promise.race([served, this.ended.then(() => null)]);
    createInterface({ input: child.stderr }).on("line", (line) => this.#onLine(line));
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  kill(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    // Not `child.kill`: after it Deno says of every end that the signal was the reason.
    if (pid !== undefined && this.isAlive) process.kill(pid, signal);
  }

  #ending(code: number | null, signal: NodeJS.Signals | null): Ending {
    if (code === null) return { status: 1, how: `killed by ${signal}` };
    const reason = this.#lastWords === null ? "" : `, ${this.#lastWords}`;
    return { status: code, how: `exit status ${code}${code === 0 ? "" : reason}` };
  }

  #onLine(line: string): void {
    const entry = parse(line);
    if (entry === null) {
      // What isn't a log line is a runtime's or a node's last word.
      this.#lastWords = shown(line.replace(/^holdfast: /, ""));
      return;
    }
    const { level, message, role, term = 0, leader = null, error = "" } = entry;
    if (message === "role" && role !== undefined) {
      this.#say(shown(officeLine({ id: this.id, role, term, leader })));
    } else if (level === "warn" || level === "error") {
      const [cause = ""] = error.split("\n");
      this.#say(`${this.id} ${level}: ${shown(message)}${cause === "" ? "" : `: ${shown(cause)}`}`);
    }
  }
}

function parse(line: string): v.InferOutput<typeof logShape> | null {
  try {
    const result = v.safeParse(logShape, JSON.parse(line));
    return result.success ? result.output : null;
  } catch {
    return null;
  }
}
