/** The table of a node's options: what each takes, its default, its meaning, and how its text is read and checked. */
import * as v from "valibot";
import type { LogLevel } from "../ports.ts";
import type { NodeId } from "../raft/types.ts";
import { baseOf, memberUrlSchema } from "./member-url.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Members that `--peers` may name. */
export const PEERS_MAX = 31;
/** The largest `--max-value-bytes`: a value travels and rests in one record. */
export const VALUE_BYTES_LIMIT: number = 8 * MIB;
/** The least length of a cluster secret, in characters. */
export const SECRET_CHARACTERS_MIN = 32;

/** Where a node listens. */
export interface ListenAddress {
  /** A name, an IPv4 address or an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** One option, as text in and a checked value out. */
export interface Option<T> {
  /** Completes "takes …" in help and in errors. */
  readonly takes: string;
  readonly help: string;
  /** As a person would type it; null where the default follows from other options, and `help` says how. */
  readonly default: string | null;
  readonly schema: v.GenericSchema<string | null, T>;
  /** A switch may stand without a value, and then means `on`. */
  readonly isSwitch?: true;
  /** What a bare number means, where its text needs a unit. */
  readonly unit?: "ms";
  /** Its value is never shown. */
  readonly isSecret?: true;
}

const number = /^\d+(\.\d+)?$/;
const durationUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const sizeUnits: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KiB: KIB,
  MiB: MIB,
  GiB: KIB * MIB,
};

function scaled(text: string, units: Readonly<Record<string, number>>): number {
  const [, amount = "", unit = ""] = /^([\d.]+)([A-Za-z]*)$/.exec(text) ?? [];
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
  return factor !== undefined && number.test(amount) ? Number(amount) * factor : NaN;
}

/** A schema of text that means a whole number from `min` to `max`, as `read` reads it. */
function whole(
  read: (text: string) => number,
  min: number,
  max: number,
): v.GenericSchema<string, number> {
  return v.pipe(v.string(), v.transform(read), v.integer(), v.minValue(min), v.maxValue(max));
}

const readCount = (text: string): number => (/^\d{1,15}$/.test(text) ? Number(text) : NaN);

/** Text such as `500ms`, `2s`, `1.5m`, `1h`, `7d`, from `min` to `max` milliseconds. */
export function durationSchema(min: number, max: number): v.GenericSchema<string, number> {
  return whole((text) => scaled(text, durationUnits), min, max);
}

/** Text such as `4096`, `64KiB`, `64MiB`, `1GiB`, from `min` to `max` bytes. */
export function sizeSchema(min: number, max: number): v.GenericSchema<string, number> {
  return whole((text) => scaled(text, sizeUnits), min, max);
}

/** Text that means a whole number from `min` to `max`. */
export function countSchema(min: number, max: number): v.GenericSchema<string, number> {
  return whole(readCount, min, max);
}

/** A node's id. */
export const idSchema: v.GenericSchema<string, NodeId> = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9._-]{1,64}$/),
);

/** An http(s) URL without query or credentials, of a node or what it is mounted in: where a client asks. */
export const originSchema: v.GenericSchema<string, string> = v.pipe(
  v.string(),
  v.maxLength(512),
  v.regex(/^https?:\/\/[^/?#@\\\s]+[^?#@\\\s]*$/i),
  v.check((text) => URL.canParse(text)),
  v.transform(baseOf),
);

const listenSchema: v.GenericSchema<string, ListenAddress> = v.pipe(
  v.string(),
  v.regex(/^(\[[0-9A-Fa-f:.]{2,}\]|[A-Za-z0-9.-]{1,253}):\d{1,5}$/),
  v.transform((text) => {
    const colon = text.lastIndexOf(":");
    const host = text.slice(0, colon).replace(/^\[|\]$/g, "");
    return { host, port: Number(text.slice(colon + 1)) };
  }),
  v.check(({ host, port }) => port >= 1 && port <= 65535 && URL.canParse(urlOf({ host, port }))),
);

/** Members with their URLs, as `--peers` names them. */
export const peersSchema: v.GenericSchema<string, Readonly<Record<NodeId, string>>> = v.pipe(
  v.string(),
  v.transform((text) =>
    text.split(",").map((peer) => {
      const equals = peer.indexOf("=");
      return [peer.slice(0, equals), peer.slice(equals + 1)] as const;
    })
  ),
  v.array(v.tuple([idSchema, memberUrlSchema])),
  v.maxLength(PEERS_MAX),
  v.check((peers) => new Set(peers.map(([id]) => id)).size === peers.length),
  v.check((peers) => new Set(peers.map(([, url]) => url)).size === peers.length),
  v.transform((peers) => Object.fromEntries(peers)),
);

const onSchema: v.GenericSchema<string, boolean> = v.pipe(
  v.picklist(["on", "off", "true", "false", "1", "0"]),
  v.transform((text) => text === "on" || text === "true" || text === "1"),
);

/** What each option's text means once it is read; the table's names are the flags' in camelCase. */
export interface OptionValues {
  readonly id: NodeId;
  readonly listen: ListenAddress;
  readonly advertise: string | null;
  readonly peers: Readonly<Record<NodeId, string>> | null;
  readonly join: Readonly<Record<NodeId, string>> | null;
  readonly data: string | null;
  readonly storage: "file" | "memory";
  readonly secret: string | null;
  readonly electionTimeout: number;
  readonly heartbeatInterval: number;
  readonly priority: number;
  readonly leaseReads: boolean;
  readonly maxClockDrift: number;
  readonly snapshotEntries: number;
  readonly snapshotBytes: number;
  readonly trailingEntries: number;
  readonly historyRevisions: number;
  readonly historyBytes: number;
  readonly maxValueBytes: number;
  readonly requestTimeout: number;
  readonly logLevel: LogLevel;
}

/** An option's name in the table. */
export type OptionName = keyof OptionValues;

/** Every option of a node. */
export const nodeOptions: { readonly [Name in OptionName]: Option<OptionValues[Name]> } = {
  id: {
    takes: "1 to 64 of A-Z a-z 0-9 . _ -",
    help: "this node's id",
    default: "n1",
    schema: idSchema,
  },
  listen: {
    takes: "host:port, such as 127.0.0.1:4001",
    help: "serves peers and clients alike",
    default: "127.0.0.1:4001",
    schema: listenSchema,
  },
  advertise: {
    takes: "a URL without a query and not link-local, such as http://127.0.0.1:4001",
    help: "the URL that peers and clients reach this node by (default http://<listen>)",
    default: null,
    schema: v.nullable(memberUrlSchema),
  },
  peers: {
    takes:
      `up to ${PEERS_MAX} different id=URL, such as n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002`,
    help:
      "the first voters, or where this node isn't one of them, as --join; ignored once the data directory holds a cluster (default itself alone)",
    default: null,
    schema: v.nullable(peersSchema),
  },
  join: {
    takes:
      `up to ${PEERS_MAX} different id=URL of others, such as n1=http://127.0.0.1:4001, and no --peers beside it`,
    help:
      "members of the cluster that this node is, or will be, added to; ignored once the data directory holds a cluster",
    default: null,
    schema: v.nullable(peersSchema),
  },
  data: {
    takes: "a directory",
    help: "directory for log and snapshots (default ./data/<id>)",
    default: null,
    schema: v.nullable(
      v.pipe(v.string(), v.nonEmpty(), v.maxLength(4096), v.check((path) => !path.includes("\0"))),
    ),
  },
  storage: {
    takes: "file or memory",
    help: "where log and snapshots are kept; memory forgets them at exit",
    default: "file",
    schema: v.picklist(["file", "memory"]),
  },
  secret: {
    takes: `at least ${SECRET_CHARACTERS_MIN} characters without a comma`,
    help: "signs peer messages; required unless every peer URL is loopback (default none)",
    default: null,
    schema: v.nullable(
      v.pipe(
        v.string(),
        v.minLength(SECRET_CHARACTERS_MIN),
        v.maxLength(1024),
        v.regex(/^[^,]*$/),
      ),
    ),
    isSecret: true,
  },
  electionTimeout: {
    takes: "a duration from 10ms to 10m, such as 500ms",
    help: "lower end; each attempt draws from [t, 2t)",
    default: "500ms",
    unit: "ms",
    schema: durationSchema(10, 600_000),
  },
  heartbeatInterval: {
    takes: "a duration of at least 1ms and at most a third of --election-timeout, such as 50ms",
    help: "how often a leader is heard from",
    default: "50ms",
    unit: "ms",
    schema: durationSchema(1, 200_000),
  },
  priority: {
    takes: "a number from 0 to 100",
    help: "a voter with a higher one is handed the leadership once it has kept up for 10s",
    default: "0",
    schema: countSchema(0, 100),
  },
  leaseReads: {
    takes: "on or off",
    help: "serve linearizable reads from the leader's lease where it holds one",
    default: "off",
    schema: onSchema,
    isSwitch: true,
  },
  maxClockDrift: {
    takes: "a fraction from 0 to 0.5",
    help: "clocks' rates differ by at most this; shortens the lease",
    default: "0.1",
    schema: v.pipe(
      v.string(),
      v.regex(number),
      v.transform(Number),
      v.minValue(0),
      v.maxValue(0.5),
    ),
  },
  snapshotEntries: {
    takes: "a number of at least 1",
    help: "entries since the last snapshot that trigger the next, once the log outgrew that",
    default: "10000",
    schema: countSchema(1, Number.MAX_SAFE_INTEGER),
  },
  snapshotBytes: {
    takes: "a size of at least 1KiB, such as 64MiB or 1048576",
    help: "log since the last snapshot that triggers the next, once it outgrew that",
    default: "64MiB",
    schema: sizeSchema(KIB, Number.MAX_SAFE_INTEGER),
  },
  trailingEntries: {
    takes: "a number from 0 to 1000000",
    help: "entries kept behind a snapshot, so that a slow follower needs none",
    default: "1000",
    schema: countSchema(0, 1_000_000),
  },
  historyRevisions: {
    takes: "a number of at least 1",
    help: "how many changes are kept, for watchers that resume and reads of the past",
    default: "100000",
    schema: countSchema(1, Number.MAX_SAFE_INTEGER),
  },
  historyBytes: {
    takes: "a size up to 1024MiB, such as 16MiB",
    help: "what the changes that are kept may come to; both are the leader's to say",
    default: "16MiB",
    schema: sizeSchema(0, 1024 * MIB),
  },
  maxValueBytes: {
    takes: `a size from 1 to ${VALUE_BYTES_LIMIT / MIB}MiB, such as 1MiB or 4096`,
    help: "the largest value that a put may carry",
    default: "1MiB",
    schema: sizeSchema(1, VALUE_BYTES_LIMIT),
  },
  requestTimeout: {
    takes: "a duration from 10ms to 10m, such as 2s",
    help: "by then every request is answered, if only with 503 or 504",
    default: "2s",
    unit: "ms",
    schema: durationSchema(10, 600_000),
  },
  logLevel: {
    takes: "debug, info, warn or error",
    help: "one JSON object a line on standard error",
    default: "info",
    schema: v.picklist(["debug", "info", "warn", "error"]),
  },
};

/** `electionTimeout` → `--election-timeout`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `electionTimeout` → `HOLDFAST_ELECTION_TIMEOUT`. */
export function environmentOf(name: string): string {
  return `HOLDFAST${flagOf(name).slice(1).replaceAll("-", "_").toUpperCase()}`;
}

/** The URL of an address; an IPv6 host gets its brackets. */
export function urlOf({ host, port }: ListenAddress): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
