/** A change of members that takes its time: waiting for its end, and telling how far it is. */
import process from "node:process";
import {
  ClientError,
  connect,
  type ConnectOptions,
  isPassing,
  type MembersAnswer,
  type StatusAnswer,
} from "../client/mod.ts";
import type { Arguments } from "./arguments.ts";
import { leaderStatus } from "./leader-status.ts";
import { tellProgress } from "./output.ts";

const POLL_MS = 250;
/** A leader is found within this, or the next look finds one. */
const LOOK_TIMEOUT_MS = 5_000;
/** Between two lines at least. */
const LINE_INTERVAL_MS = 1_000;
/** Where standard error is no terminal, what is over by then is not told. */
const QUIET_MS = 2_000;

/**
 * The members when no change is under way any more, or at `deadline` as they are then; null where nobody can tell.
 * It looks once at least.
 */
export async function untilOver(
  options: ConnectOptions,
  deadline: number,
): Promise<MembersAnswer | null> {
  const client = connect({ ...options, timeoutMs: LOOK_TIMEOUT_MS });
  for (;;) {
    const isLate = performance.now() >= deadline;
    try {
      const answer = await client.members();
      if (answer.change === null || isLate) return answer;
    } catch (error) {
      if (!(error instanceof ClientError && isPassing(error))) throw error;
      if (isLate) return null;
    }
    const left = Math.max(0, deadline - performance.now());
    await new Promise((resolve) => setTimeout(resolve, Math.min(POLL_MS, left)));
  }
}

/** Tells on standard error how far a change is: a line whenever that is another than before. */
export class Progress {
  readonly #args: Arguments;
  readonly #options: ConnectOptions;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isStopped = false;
  #last = "";

  constructor(args: Arguments, options: ConnectOptions) {
    this.#args = args;
    this.#options = options;
  }

  start(): void {
    this.#later(process.stderr.isTTY === true ? LINE_INTERVAL_MS : QUIET_MS);
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #later(delayMs: number): void {
    this.#timer = setTimeout(() => void this.#look(), delayMs);
  }

  async #look(): Promise<void> {
    const status = await leaderStatus({ ...this.#options, timeoutMs: LINE_INTERVAL_MS })
      .catch(() => null);
    if (this.#isStopped) return;
    const line = status === null ? "no endpoint answers" : progressLine(status);
    if (line !== null && line !== this.#last) {
      tellProgress(this.#args, line);
      this.#last = line;
    }
    this.#later(LINE_INTERVAL_MS);
  }
}

/** How far a change is, by what a node says; null where that knows of none. */
export function progressLine(status: StatusAnswer): string | null {
  const { change, members, lastLog, role } = status;
  if (change === null || change === undefined) return null;
  const waiting = members.filter((member) => member.waiting === true);
  if (waiting.length === 0) return `joint: ${change.voters.join(", ")} become the voters`;
  return waiting.map(({ id, url, match, lagMs }) => {
    if (role !== "leader") return `${id} catches up`;
    if (lagMs === null) return `${id} has not answered yet, at ${url}`;
    return `${id} catches up: ${match ?? 0} of ${lastLog}`;
  }).join("; ");
}
