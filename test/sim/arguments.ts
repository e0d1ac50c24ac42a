/** The command line of the simulator. */
import { parseArgs } from "node:util";
import { type FaultKind, faultKinds, type Overrides } from "./options.ts";
import { jobsDefault } from "./seeds.ts";

const seedsEnd = 2n ** 64n;

export const help: string =
  `npm run sim -- [options]: whole clusters on simulated time, each from one seed

  --seed S        the first seed, a whole number below 2^64, or a commit's whole hash (default: the time)
  --seeds N       that seed and the N - 1 after it (default 1)
  --minutes M     as many seeds as fit in so many minutes
  --jobs N        so many seeds at a time (default: the processor's cores)
  --seconds T     simulated seconds of the phase with faults (default 60)
  --nodes N       so many nodes, whatever the seed draws
  --clients N     so many clients, whatever the seed draws
  --think MS      mean time of a client between operations, whatever the seed draws
  --faults A,B    these kinds of faults, whatever the seed draws ("none": none)
  --without A,B   without these kinds
  --trace         print what happens, line by line, of a single seed
  --shrink        turn kinds of faults off, one at a time, and shorten the run while it still fails
  --help          this

Kinds of faults: ${faultKinds.join(" ")}

A thousand seeds or more must also reach everything that the report counts.

Exit status: 0 where all held, 1 where something did not, 2 for a bad command line.`;

export interface SimArguments {
  readonly seed: bigint;
  readonly seeds: number;
  readonly minutes: number | null;
  readonly jobs: number;
  readonly overrides: Overrides;
  readonly trace: boolean;
  readonly shrink: boolean;
  readonly help: boolean;
}

/** @throws {RangeError} one line that says which option takes what. */
export function readArguments(args: readonly string[]): SimArguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string" },
      seeds: { type: "string" },
      minutes: { type: "string" },
      jobs: { type: "string" },
      seconds: { type: "string" },
      nodes: { type: "string" },
      clients: { type: "string" },
      think: { type: "string" },
      faults: { type: "string" },
      without: { type: "string" },
      trace: { type: "boolean" },
      shrink: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  const seconds = positive("seconds", values.seconds);
  const nodes = whole("nodes", values.nodes);
  const clients = whole("clients", values.clients);
  const thinkMs = positive("think", values.think);
  const seeds = whole("seeds", values.seeds) ?? (values.minutes === undefined ? 1 : Infinity);
  if (values.trace === true && seeds > 1) {
    throw new RangeError("--trace is for a single seed: leave --seeds and --minutes out");
  }
  return {
    seed: values.seed === undefined ? BigInt(Date.now()) : seedOf(values.seed),
    seeds,
    minutes: positive("minutes", values.minutes),
    jobs: whole("jobs", values.jobs) ?? jobsDefault,
    overrides: {
      ...(seconds === null ? {} : { seconds }),
      ...(nodes === null ? {} : { nodes }),
      ...(clients === null ? {} : { clients }),
      ...(thinkMs === null ? {} : { thinkMs }),
      ...(values.faults === undefined ? {} : { faults: kinds("faults", values.faults) }),
      ...(values.without === undefined ? {} : { without: kinds("without", values.without) }),
    },
    trace: values.trace === true,
    shrink: values.shrink === true,
    help: values.help === true,
  };
}

/** A decimal number, or a commit's whole hash, of which the first 16 digits count. */
export function seedOf(text: string): bigint {
  if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text)) return BigInt(`0x${text.slice(0, 16)}`);
  const seed = /^\d{1,20}$/.test(text) ? BigInt(text) : seedsEnd;
  if (seed < seedsEnd) return seed;
  throw new RangeError(
    `--seed takes a whole number below 2^64 or a commit's whole hash, not ${text}`,
  );
}

/** The seed that comes `count` after another. */
export function seedAfter(seed: bigint, count: number): bigint {
  return (seed + BigInt(count)) % seedsEnd;
}

function whole(name: string, text: string | undefined): number | null {
  const value = positive(name, text);
  if (value === null || Number.isSafeInteger(value)) return value;
  throw new RangeError(`--${name} takes a whole number, not ${text}`);
}

function positive(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (text !== "" && value > 0 && Number.isFinite(value)) return value;
  throw new RangeError(`--${name} takes a number above 0, not ${text}`);
}

function kinds(name: string, text: string): Set<FaultKind> {
  const named = text === "none" ? [] : text.split(",");
  return new Set(named.map((each) => {
    const kind = faultKinds.find((known) => known === each);
    if (kind !== undefined) return kind;
    throw new RangeError(
      `--${name} takes kinds of faults, and ${each} is none: ${faultKinds.join()}`,
    );
  }));
}
