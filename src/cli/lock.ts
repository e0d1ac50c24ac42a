/** `lock`: runs a command while it holds a lock. */
import { hostname } from "node:os";
import process from "node:process";
import * as v from "valibot";
import { type Client, ClientError, type Lock } from "../client/mod.ts";
import { pause } from "../client/session.ts";
import { durationSchema } from "../config/options.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import { clientFlags, clientFrom, clientHelp, type Command, readFlag } from "./command.ts";
import { HeldCommand, statusOfSignal } from "./held-command.ts";
import { keyOf } from "./keys.ts";
import { exit, problemOf, tell } from "./output.ts";
import { patiently } from "./patience.ts";
import { Signals } from "./signals.ts";

const TTL_DEFAULT = "10s";
const GRACE_MS_DEFAULT = 5_000;
/** Of what people are told who wait. */
const VALUE_CHARACTERS_MAX = 500;
const POLL_MS = 50;
/** A lease is kept alive several times in its life. */
const TTL_MS_MIN = 1_000;

const ttl: FlagSpec = { takes: "a duration from 1s to 24h, such as 10s" };
const wait: FlagSpec = { takes: "a duration, such as 30s, or 0" };
const grace: FlagSpec = { takes: "a duration, such as 5s, or 0" };
const durationOrNone = v.union([
  v.pipe(v.literal("0"), v.transform(() => 0)),
  durationSchema(1, 86_400_000),
]);

/** `lock`. */
export const lock: Command = {
  summary: "run a command while holding a lock",
  help: `holdfast lock NAME -- COMMAND ARGS…

Waits until nobody else holds the lock, which is the key NAME, takes it, runs COMMAND, and gives
it back when COMMAND ends. Signals go on to COMMAND. Should the lock be lost meanwhile (no node
answers, or this process was asleep for too long), COMMAND is ended with SIGTERM, and with SIGKILL
after --grace.

No lock of this kind can promise by itself that two never run at once: whoever was asleep learns
too late that its time was over. So COMMAND finds HOLDFAST_LOCK_TOKEN in its environment, a number
that is higher with each holder. Hand it to whatever the lock protects, and let that refuse a
lower one than it has seen.

  --ttl T            another gets the lock so long after this process was last heard of (default ${TTL_DEFAULT})
  --wait T           give up after waiting so long for the lock (default: never; 0: at once)
  --grace T          between SIGTERM and SIGKILL where the lock is lost (default 5s)${clientHelp}

With --json standard output is COMMAND's alone, and what is to be said of the lock is said on
standard error, one JSON object a line.

Exit status: COMMAND's (128 + N where signal N ended it; 127 it was not found, 126 it can't be
run), 8 the lock was lost; where it was not got: 1 within --wait, 2 wrong command line, 5 no node
could serve it, 6 unknown, 7 refused, 128 + N ended by signal N.
`,
  syntax: {
    flags: { ttl, wait, grace, ...clientFlags },
    operands: ["NAME"],
    rest: "COMMAND",
  },
  run: async (args) => {
    const name = keyOf(args, "NAME");
    const graceMs = readFlag(args, "grace", grace, durationOrNone) ?? GRACE_MS_DEFAULT;
    const signals = new Signals();
    const lock = await take(args, name, signals);
    if (typeof lock === "number") return lock;
    const command = new HeldCommand(args.rest, { HOLDFAST_LOCK_TOKEN: `${lock.fencingToken}` });
    signals.onSignal = (each) => command.signal(each);
    const end = await Promise.race([command.ended, lossOf(lock)]);
    if (end === "lost") {
      const detail = `${name} was lost: another may hold it, and the command is ended`;
      tell(args, "lock", detail, { code: "lock_lost" });
      await command.end(graceMs);
      return exit.lost;
    }
    // What is left to do may take long where no node answers, and the lock goes by itself.
    signals.onSignal = () => process.exit(end.status);
    if (end.error !== null) tell(args, "lock", end.error, { code: "not_run" });
    await giveBack(args, name, lock);
    return end.status;
  },
};

/** The lock, or the exit status where it was not got. */
async function take(args: Arguments, name: string, signals: Signals): Promise<Lock | number> {
  const client = clientFrom(args);
  const ttlMs = readFlag(args, "ttl", ttl, durationSchema(TTL_MS_MIN, 86_400_000));
  const waitMs = readFlag(args, "wait", wait, durationOrNone);
  const value = valueOf(args);
  const interrupted = new AbortController();
  signals.onSignal = (each) => interrupted.abort(each);
  const late = new AbortController();
  const over = new AbortController();
  if (waitMs !== undefined) {
    const wait = { name, value, waitMs, over: over.signal };
    void isHeldAfter(client, wait).then((isHeld) => isHeld && late.abort());
  }
  try {
    const lock = await patiently(args, () => whoHolds(client, name), () =>
      client.lock(name, {
        ...(ttlMs === undefined ? {} : { ttlMs }),
        value,
        signal: AbortSignal.any([interrupted.signal, late.signal]),
      }));
    if (!interrupted.signal.aborted) return lock;
    await giveBack(args, name, lock);
    return statusOfSignal(interrupted.signal.reason);
  } catch (error) {
    if (interrupted.signal.aborted) return statusOfSignal(interrupted.signal.reason);
    if (!late.signal.aborted) throw error;
    tell(args, "lock", `${name} is held by another`, { code: "locked" });
    return exit.no;
  } finally {
    over.abort();
  }
}

/** For people who look; and no two that wait at the same time have the same. */
function valueOf({ rest }: Arguments): string {
  const value = `${hostname()}, process ${process.pid}: ${rest.join(" ")}`;
  return value.slice(0, VALUE_CHARACTERS_MAX).toWellFormed();
}

/** Whether another holds the lock once the wait is over: a free one is still taken. False where it is got before. */
async function isHeldAfter(client: Client, wait: {
  readonly name: string;
  readonly value: string;
  readonly waitMs: number;
  readonly over: AbortSignal;
}): Promise<boolean> {
  const { name, value, waitMs, over } = wait;
  for (let delay = waitMs;; delay = POLL_MS) {
    await pause(delay, over);
    if (over.aborted) return false;
    const item = await client.get(name, { signal: over }).catch(() => null);
    if (item !== null && new TextDecoder().decode(item.value) !== value) return !over.aborted;
  }
}

async function whoHolds(client: Client, name: string): Promise<string> {
  const item = await client.get(name).catch(() => null);
  const holder = item === null ? "" : `, held by ${new TextDecoder().decode(item.value)}`;
  return `waiting for ${name}${holder}`;
}

function lossOf({ lost }: Lock): Promise<"lost"> {
  return new Promise((resolve) => {
    if (lost.aborted) resolve("lost");
    else lost.addEventListener("abort", () => resolve("lost"), { once: true });
  });
}

async function giveBack(args: Arguments, name: string, lock: Lock): Promise<void> {
  try {
    await lock.release();
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const detail = `${name} could not be given back, and goes when its time is over`;
    tell(args, "lock", `${detail}: ${error.message}`, { ...problemOf(error) });
  }
}
