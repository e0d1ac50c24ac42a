/** A command that runs while something is held for it: it has our terminal, gets our signals, and we get its end. */
import { spawn } from "node:child_process";
import process from "node:process";
import { constants } from "node:os";

/** What a terminal sends to us and to the command alike. */
const byTerminal: ReadonlySet<NodeJS.Signals> = new Set(["SIGINT", "SIGQUIT", "SIGHUP"]);

/** As a shell counts: what is no status of the command's own. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;
const SIGNALLED = 128;

/** The status that a shell gives to an end by this signal. */
export function statusOfSignal(signal: NodeJS.Signals): number {
  return SIGNALLED + (constants.signals[signal] ?? 0);
}

/** How it ended; `error` where it could not be run. */
export interface HeldEnd {
  readonly status: number;
  readonly error: string | null;
}

/** Runs from its construction on. */
export class HeldCommand {
  readonly ended: Promise<HeldEnd>;
  readonly #kill: (signal: NodeJS.Signals) => void;

  constructor(command: readonly string[], environment: Readonly<Record<string, string>>) {
    const [binary = "", ...args] = command;
    const child = spawn(binary, args, {
      stdio: "inherit",
      env: { ...process.env, ...environment },
    });
    let isOver = false;
    // Not `child.kill`: after it Deno says of every end that the signal was the reason.
    this.#kill = (signal) => {
      if (!isOver && child.pid !== undefined) process.kill(child.pid, signal);
    };
    const ended = new Promise<HeldEnd>((resolve) => {
      child.once("error", (error: Error & { readonly code?: string }) => {
        const status = error.code === "ENOENT" ? NOT_FOUND : NOT_EXECUTABLE;
        resolve({ status, error: error.message });
      });
      child.once("exit", (code, signal) => {
        resolve({ status: code ?? statusOfSignal(signal ?? "SIGKILL"), error: null });
      });
    });
    this.ended = ended.then((end) => {
      isOver = true;
      return end;
    });
  }

  /** Hands a signal on that came to us. */
  signal(name: NodeJS.Signals): void {
    if (process.stdin.isTTY !== true || !byTerminal.has(name)) this.#kill(name);
  }

  /** Ends it: asks first, and does it after `graceMs`. Resolves when it is over. */
  async end(graceMs: number): Promise<void> {
    this.#kill("SIGTERM");
    const timer = setTimeout(() => this.#kill("SIGKILL"), graceMs);
    await this.ended;
    clearTimeout(timer);
  }
}
