/** Everything about a run that its seed draws: the cluster, its settings, its load, and which faults exist at all. */
import type { HistoryLimits } from "../../src/kv/command.ts";
import { Random } from "./random.ts";
import { drawUses, type Use } from "./uses.ts";

/** What may go wrong. A run has some of them, drawn from its seed. */
export const faultKinds = [
  "loss",
  "duplicates",
  "delay",
  "clogs",
  "partitions",
  "oneWay",
  "clientCuts",
  "regicide",
  "usurpers",
  "powerCuts",
  "kills",
  "crashAtCall",
  "pauses",
  "suspends",
  "drift",
  "wallSteps",
  "slowDisk",
  "syncFailures",
  "fullDisk",
  "readErrors",
  "snapshotFlips",
  "damage",
  "misdirectedWrites",
  "transfers",
  "stops",
  "otherSettings",
  "members",
  "wipes",
  "upgrades",
] as const;
/** Whatever else there is, also where few kinds are strong together. */
const anywhere: readonly FaultKind[] = ["members", "wipes", "upgrades"];
export type FaultKind = (typeof faultKinds)[number];

/** How a node is set up; drawn anew at a restart where there are `otherSettings`. */
export interface Settings {
  readonly snapshotEntries: number;
  readonly snapshotBytes: number;
  readonly trailingEntries: number;
  readonly segmentBytes: number;
  readonly appendBytesMax: number;
  readonly inflightAppendsMax: number;
  readonly uncommittedBytesMax: number;
  readonly applyLagMax: number;
  /** What a leader lets be kept of the past. */
  readonly history: HistoryLimits;
}

/** Times are milliseconds unless they say otherwise. */
export interface SimOptions {
  readonly seed: bigint;
  readonly seconds: number;
  readonly nodes: number;
  readonly faults: ReadonlySet<FaultKind>;
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly leaseReads: boolean;
  readonly settings: Settings;
  readonly network: {
    readonly delayMs: number;
    readonly straggling: number;
    readonly loss: number;
    readonly duplicates: number;
  };
  /** Mean of an exponential distribution, for a sync of a healthy disk. */
  readonly syncMs: number;
  /** Clocks' rates differ from true time by at most this fraction. */
  readonly drift: number;
  /** Faults that begin at a point of time: on average so far apart, all kinds together. */
  readonly faultEveryMs: number;
  readonly lyingDisk: boolean;
  /** What nodes keep free on their disks, where these may fill; 0 where nobody looks. */
  readonly diskReserveBytes: number;
  readonly load: {
    readonly clients: number;
    /** Mean time of a client between two operations. */
    readonly thinkMs: number;
    readonly keys: number;
    readonly valueBytesMax: number;
    readonly timeoutMs: number;
    /** Of all operations. */
    readonly reads: number;
    readonly uses: ReadonlySet<Use>;
  };
}

/** What the command line fixes; the rest is drawn, and what is drawn does not depend on it. */
export interface Overrides {
  readonly seconds?: number;
  readonly nodes?: number;
  /** These, whatever was drawn. */
  readonly faults?: ReadonlySet<FaultKind>;
  /** None of these. */
  readonly without?: ReadonlySet<FaultKind>;
  readonly clients?: number;
  readonly thinkMs?: number;
  /** Disks lose at a power cut what they said was synced: a run has to fail then. For tests of the oracles. */
  readonly lyingDisk?: boolean;
}

export const secondsDefault = 60;

export function drawOptions(seed: bigint, overrides: Overrides = {}): SimOptions {
  const random = new Random(seed, "options");
  const nodes = random.pick([1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7]);
  const faults = drawFaults(seed);
  const electionTimeoutMs = Math.round(random.pick([150, 300, 500, 500, 1000]));
  const options: SimOptions = {
    seed,
    seconds: overrides.seconds ?? secondsDefault,
    nodes: overrides.nodes ?? nodes,
    faults: new Set(
      [...overrides.faults ?? faults].filter((kind) => overrides.without?.has(kind) !== true),
    ),
    electionTimeoutMs,
    heartbeatIntervalMs: Math.floor(electionTimeoutMs / random.pick([3, 5, 10, 10])),
    leaseReads: random.chance(0.5),
    settings: drawSettings(random, new Random(seed, "history")),
    network: {
      delayMs: random.scaled(1, 300),
      straggling: 1,
      loss: random.pick([0.001, 0.01, 0.03, 0.1, 0.3]),
      duplicates: random.pick([0.01, 0.05, 0.2, 0.5]),
    },
    syncMs: random.pick([0.2, 1, 1, 3, 10]),
    drift: random.pick([0.01, 0.1, 0.1, 0.1]),
    lyingDisk: overrides.lyingDisk === true,
    diskReserveBytes: new Random(seed, "reserve").pick([0, 2000, 10_000, 10_000]),
    faultEveryMs: random.pick([300, 1000, 1000, 3000, 8000]),
    load: {
      clients: random.whole(1, 12),
      thinkMs: random.pick([20, 50, 100, 200, 500]),
      keys: random.pick([1, 4, 16, 64]),
      valueBytesMax: random.pick([64, 64, 64, 512, 512, 4096, 65_536, 400_000]),
      timeoutMs: random.pick([500, 2000, 2000, 5000]),
      reads: random.pick([0.1, 0.5, 0.5, 0.9]),
      uses: drawUses(seed),
    },
  };
  const { clients = options.load.clients, thinkMs = calm(options.load) } = overrides;
  const straggling = new Random(seed, "straggling").pick([1, 10, 30, 100]);
  return {
    ...options,
    network: { ...options.network, straggling },
    load: { ...options.load, clients, thinkMs },
  };
}

/** Bytes of values that the clients of a run put or read in a second: at most about so many. */
const bytesPerSecond = 65_536;

/**
 * The pause between two operations of a client, long enough that a run's time goes into schedules: what is found is
 * found by how things meet, and hardly by how many bytes are copied meanwhile. Values are drawn by their octave: their
 * mean is about an eighth of the largest.
 */
function calm({ clients, thinkMs, valueBytesMax }: SimOptions["load"]): number {
  const rate = bytesPerSecond / (valueBytesMax / 8);
  return Math.max(thinkMs, Math.round(1000 * clients / rate));
}

/** What is strong together, and rarely meets where everything else goes wrong as well. */
const focuses: readonly (readonly FaultKind[])[] = [
  ["drift", "usurpers"],
  ["delay", "usurpers"],
  ["suspends", "usurpers"],
  ["regicide", "delay"],
  ["regicide", "loss", "delay"],
  ["crashAtCall", "powerCuts", "fullDisk"],
  ["transfers", "clogs", "suspends"],
];

/**
 * One run in sixteen has none, one in four a few that are strong together; else each kind exists with a probability
 * that is drawn, too. Each from a stream of its own, so that a kind which is added later leaves what seeds draw of the
 * others.
 */
function drawFaults(seed: bigint): readonly FaultKind[] {
  const random = new Random(seed, "faults");
  if (random.chance(1 / 16)) return [];
  const of = (kinds: readonly FaultKind[], share: number): readonly FaultKind[] =>
    kinds.filter((kind) => new Random(seed, `fault ${kind}`).chance(share));
  if (random.chance(1 / 4)) return [...random.pick(focuses), ...of(anywhere, 0.4)];
  return of(faultKinds, random.pick([0.1, 0.3, 0.3, 0.5, 0.8]));
}

export function drawSettings(random: Random, history: Random = random): Settings {
  return {
    snapshotEntries: random.pick([5, 20, 50, 200, 1000, 10_000]),
    snapshotBytes: random.pick([4096, 65_536, 1 << 20, 1 << 26]),
    trailingEntries: random.pick([0, 0, 1, 10, 100, 1000]),
    segmentBytes: random.pick([2048, 8192, 32_768, 131_072]),
    appendBytesMax: random.pick([1, 256, 4096, 1 << 20]),
    inflightAppendsMax: random.pick([1, 2, 8]),
    uncommittedBytesMax: random.pick([16_384, 1 << 20, 1 << 26]),
    applyLagMax: random.pick([50, 20_000]),
    history: {
      revisionsMax: history.pick([1, 10, 100, 1000, 100_000]),
      bytesMax: history.pick([0, 1000, 20_000, 1 << 20, 1 << 24]),
    },
  };
}

/** One line a value, for the head of a run. */
export function describeOptions(options: SimOptions): string {
  const shown = {
    ...options,
    seed: String(options.seed),
    faults: [...options.faults].join(" ") || "none",
    load: { ...options.load, uses: [...options.load.uses].join(" ") || "none" },
  };
  return Object.entries(shown).map(([name, value]) =>
    `  ${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`
  ).join("\n");
}
