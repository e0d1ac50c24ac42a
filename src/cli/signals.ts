/** Signals, while a command goes on for ever, or for long. */
import process from "node:process";

/** Those that ask a process to end. */
const ending: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Aborts at the first signal that asks the process to end; a second one does what it does by itself. */
export function untilSignal(): AbortSignal {
  const abort = new AbortController();
  for (const name of ending) process.once(name, () => abort.abort(name));
  return abort.signal;
}

/** Takes signals from now on, without a gap, and hands them to whoever is to have them. */
export class Signals {
  /** Who is to have them: the last that was set. */
  onSignal: (name: NodeJS.Signals) => void = () => {};

  constructor() {
    for (const name of [...ending, "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const) {
      process.on(name, () => this.onSignal(name));
    }
  }
}
