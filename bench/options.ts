/** The bench's command line. */
import { parseArgs } from "node:util";
import { type RuntimeName, runtimes as allRuntimes } from "../test/matrix/harness/node-process.ts";
import { KEY_BYTES, VALUE_BYTES_MIN } from "./workload.ts";

export const allRows = [
  "put",
  "get",
  "batch",
  "transaction",
  "watch",
  "overload",
  "failover",
  "disk",
  "memory",
  "restart",
  "snapshot",
] as const;
export type RowName = (typeof allRows)[number];

export const allGrowth = ["keys", "values", "nodes", "clients"] as const;
export type GrowthName = (typeof allGrowth)[number];

const defaultRows: readonly RowName[] = ["put", "get", "batch", "failover", "disk"];
const defaultOutstanding = { put: [1024, 256, 64, 1], get: [256, 64] } as const;

export interface Options {
  readonly against: "etcd" | null;
  readonly runtimes: readonly RuntimeName[];
  readonly rows: readonly RowName[];
  readonly growth: readonly GrowthName[];
  readonly seconds: number;
  readonly rounds: number;
  readonly overloadSeconds: number;
  readonly outstanding: { readonly put: readonly number[]; readonly get: readonly number[] };
  readonly keys: number;
  readonly bigKeys: number;
  readonly valueBytes: number;
  readonly streams: number;
  readonly driver: "wrk" | "own" | null;
  readonly json: boolean;
}

export const help: string = `npm run bench -- [options]

Three nodes on loopback (file storage, synced, default settings) on each runtime, beside a bare Hono server with the
same routes over a Map, one process, on the same runtime; with --against etcd beside three etcd nodes too. All take
turns in every round. Clients and all nodes share this machine, so ratios count and absolute figures drift.

  --against etcd             side by side with etcd (default settings, synced), driven through gRPC by h2load
  --runtimes bun,deno,node   which runtimes (default all three)
  --rows ${
  defaultRows.join(",")
}   which rows (these by default, and none with --growth); all, or some of
      put        PUT/s and latency at 1,024, 256, 64 and 1 outstanding
      get        linearizable GET/s and latency at 256 and 64 outstanding
      batch      puts/s through /v1/batch, 100 in a request
      transaction  puts/s through /v1/txn, two in a request that checks one key
      watch      events/s to 1, 100 and 1,000 watchers of the leader, and PUT's latency meanwhile
      overload   twice the load that the cluster carries at its best, for --overload-seconds
      failover   longest gap between acknowledged writes when the leader is ended by kill -9
      disk       bytes that reach the disk per PUT and node (Linux)
      memory     resident memory for --big-keys keys of ${KEY_BYTES} bytes
      restart    a follower's start with --big-keys keys, its files not cached, beside reading them
      snapshot   PUT's p99 while snapshots of --big-keys keys are taken, beside none
  --growth keys,values,nodes,clients   all, or some of
      keys       1k to --big-keys keys     values     16 B to 64 KiB a value
      nodes      1, 3, 5 nodes             clients    1 to 1,024 requests outstanding
  --seconds 2                length of one measurement
  --rounds 3                 how often each is repeated; tables show median and min–max
  --overload-seconds 120     length of an overload
  --outstanding 256,1        requests under way at a time, for put and get
  --keys 2000                keys in the store, but for rows and tables with --big-keys
  --big-keys 1000000
  --value-bytes 256          from ${VALUE_BYTES_MIN}
  --streams 128              etcd: requests under way on one connection
  --driver wrk|own           default wrk where it is installed, else a generator in Node
  --json                     the result as JSON on standard output
  --help

Which keys are hit: wrk goes through all keys in order, for Holdfast and for Hono. h2load sends one body again and
again, so a run against etcd puts or reads one key, another one each run; several keys at once give it the same rate.
After each round a sample of keys is read back from every node and compared with what was acknowledged; etcd's
revision must have grown by the puts acknowledged.

Needs (Debian): apt-get install wrk etcd-server nghttp2-client. What is missing is named, and the rest is run.

Exit status: 0 done, whether targets are met or not; 1 wrong data found; 2 wrong command line; 3 a part failed.

npm run bench:micro          the parts alone: core step, log record, WAL append, CBOR guard, peer messages, HTTP, store
`;

/** The command line is wrong; the message is one line that names the flag. */
export class BadUsage extends Error {
  override readonly name = "BadUsage";
}

/** Null where help is asked for. @throws {BadUsage} */
export function readOptions(args: readonly string[]): Options | null {
  const values = parse(args);
  if (values.help) return null;
  const { against = null, driver = null } = values;
  if (against !== null && against !== "etcd") {
    throw new BadUsage(`--against takes etcd, not ${against}`);
  }
  if (driver !== null && driver !== "wrk" && driver !== "own") {
    throw new BadUsage(`--driver takes wrk or own, not ${driver}`);
  }
  const growth = values.growth === undefined ? [] : some("growth", values.growth, allGrowth);
  const outstanding = values.outstanding?.split(",")
    .map((text) => whole("outstanding", text, { min: 1, max: 4096 }));
  return {
    against,
    runtimes: some("runtimes", values.runtimes, allRuntimes),
    rows: values.rows === undefined
      ? growth.length > 0 ? [] : defaultRows
      : some("rows", values.rows, allRows),
    growth,
    seconds: whole("seconds", values.seconds, { min: 1, max: 3600 }),
    rounds: whole("rounds", values.rounds, { min: 1, max: 1000 }),
    overloadSeconds: whole("overload-seconds", values["overload-seconds"], { min: 5, max: 3600 }),
    outstanding: outstanding === undefined
      ? defaultOutstanding
      : { put: outstanding, get: outstanding },
    keys: whole("keys", values.keys, { min: 100, max: 100_000 }),
    bigKeys: whole("big-keys", values["big-keys"], { min: 1000, max: 10_000_000 }),
    valueBytes: whole("value-bytes", values["value-bytes"], { min: VALUE_BYTES_MIN, max: 1 << 20 }),
    streams: whole("streams", values.streams, { min: 1, max: 4096 }),
    driver,
    json: values.json,
  };
}

interface Values {
  readonly against?: string | undefined;
  readonly driver?: string | undefined;
  readonly rows?: string | undefined;
  readonly growth?: string | undefined;
  readonly outstanding?: string | undefined;
  readonly runtimes: string;
  readonly seconds: string;
  readonly rounds: string;
  readonly "overload-seconds": string;
  readonly keys: string;
  readonly "big-keys": string;
  readonly "value-bytes": string;
  readonly streams: string;
  readonly json: boolean;
  readonly help: boolean;
}

function parse(args: readonly string[]): Values {
  try {
    return parseArgs({
      args: [...args],
      options: {
        against: { type: "string" },
        driver: { type: "string" },
        rows: { type: "string" },
        growth: { type: "string" },
        outstanding: { type: "string" },
        runtimes: { type: "string", default: "all" },
        seconds: { type: "string", default: "2" },
        rounds: { type: "string", default: "3" },
        "overload-seconds": { type: "string", default: "120" },
        keys: { type: "string", default: "2000" },
        "big-keys": { type: "string", default: "1000000" },
        "value-bytes": { type: "string", default: "256" },
        streams: { type: "string", default: "128" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    throw new BadUsage(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** In the order of `all`, each once. */
function some<Name extends string>(flag: string, text: string, all: readonly Name[]): Name[] {
  if (text === "all") return [...all];
  const names = text.split(",");
  const unknown = names.find((name) => !all.some((one) => one === name));
  if (unknown === undefined) return all.filter((one) => names.includes(one));
  throw new BadUsage(`--${flag} takes all, or some of ${all.join(",")}, not ${unknown}`);
}

function whole(flag: string, text: string, { min, max }: { min: number; max: number }): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= min && number <= max) return number;
  throw new BadUsage(`--${flag} takes a whole number from ${min} to ${max}, not ${text}`);
}
