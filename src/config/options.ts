/** The table of a node's options: what each takes, its default, and its meaning. */
import * as v from "valibot";
import type { LogLevel } from "../ports.ts";
import type { NodeId } from "../raft/types.ts";
import { type DnsServer, dnsServersSchema } from "./dns-name.ts";
import { memberUrlSchema } from "./member-url.ts";
import type { Option } from "./option.ts";
import {
  countSchema,
  durationSchema,
  fractionSchema,
  idSchema,
  type ListenAddress,
  listenSchema,
  type Members,
  membersSchema,
  onSchema,
  pathSchema,
  PEERS_MAX,
  sizeSchema,
} from "./schemas.ts";
import { securityOptions, type SecurityValues } from "./security-options.ts";

export type { Option } from "./option.ts";
export {
  countSchema,
  durationSchema,
  idSchema,
  type ListenAddress,
  originSchema,
  PEERS_MAX,
  sizeSchema,
  urlOf,
} from "./schemas.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** The largest `--max-value-bytes`: a value travels and rests in one record. */
export const VALUE_BYTES_LIMIT: number = 8 * MIB;
/** The least `--disk-reserve`: the log's next segment, 16 MiB, has to fit into half of it. */
export const DISK_RESERVE_MIN: number = 40 * MIB;

/** What each option's text means once it is read; the table's names are the flags' in camelCase. */
export interface OptionValues extends SecurityValues {
  readonly config: string | null;
  readonly id: NodeId;
  readonly listen: ListenAddress;
  readonly advertise: string | null;
  readonly peers: Members | null;
  readonly peersExpect: number | null;
  readonly join: Members | null;
  readonly dnsServer: readonly DnsServer[] | null;
  readonly data: string | null;
  readonly storage: "file" | "memory";
  readonly electionTimeout: number;
  readonly heartbeatInterval: number;
  readonly priority: number;
  readonly leaseReads: boolean;
  readonly maxClockDrift: number;
  readonly snapshotEntries: number;
  readonly snapshotBytes: number;
  readonly trailingEntries: number;
  readonly diskReserve: number;
  readonly historyRevisions: number;
  readonly historyBytes: number;
  readonly backupDir: string | null;
  readonly backupInterval: number;
  readonly backupKeep: number;
  readonly maxValueBytes: number;
  readonly requestTimeout: number;
  readonly logLevel: LogLevel;
}

/** An option's name in the table. */
export type OptionName = keyof OptionValues;

/** Members one by one. */
export const peersTakes: string =
  `up to ${PEERS_MAX} different id=URL, such as n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002`;

/** Every option of a node. */
export const nodeOptions: { readonly [Name in OptionName]: Option<OptionValues[Name]> } = {
  config: {
    takes: "a YAML file",
    help: "options by their names in camelCase; flags and environment variables win over it",
    default: null,
    schema: v.nullable(pathSchema),
    isOutsideFile: true,
  },
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
    help:
      "the URL that peers and clients reach this node by (default http://<listen>, or https:// with --tls-cert)",
    default: null,
    schema: v.nullable(memberUrlSchema),
  },
  peers: {
    takes: `${peersTakes}, or a name in the DNS, such as dns:holdfast.example:4001`,
    help:
      "the first voters, or where this node isn't one of them, as --join; ignored once the data directory holds a cluster (default itself alone)",
    default: null,
    schema: v.nullable(membersSchema),
    parts: "map",
  },
  peersExpect: {
    takes: `a number from 1 to ${PEERS_MAX}`,
    help:
      "how many first voters there are; needed with --peers dns:NAME, which forms none but that",
    default: null,
    schema: v.nullable(countSchema(1, PEERS_MAX)),
  },
  join: {
    takes:
      `up to ${PEERS_MAX} different id=URL of others, such as n1=http://127.0.0.1:4001, or a name as --peers does, and no --peers beside it`,
    help:
      "members of the cluster that this node is, or will be, added to; ignored once the data directory holds a cluster",
    default: null,
    schema: v.nullable(membersSchema),
    parts: "map",
  },
  dnsServer: {
    takes: "up to 8 addresses with commas between, such as 10.0.0.53,10.0.1.53:5353",
    help: "whom to ask about dns:NAME (default as the system does)",
    default: null,
    schema: v.nullable(dnsServersSchema),
    parts: "list",
  },
  data: {
    takes: "a directory",
    help: "directory for log and snapshots (default ./data/<id>)",
    default: null,
    schema: v.nullable(pathSchema),
  },
  storage: {
    takes: "file or memory",
    help: "where log and snapshots are kept; memory forgets them at exit",
    default: "file",
    schema: v.picklist(["file", "memory"]),
  },
  ...securityOptions,
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
    schema: fractionSchema(0, 0.5),
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
  diskReserve: {
    takes: `0, or a size of at least ${DISK_RESERVE_MIN / MIB}MiB, such as 64MiB`,
    help:
      "what has to be free on the disk beside room for the next snapshot; where it isn't, the node is read-only; 0 doesn't look",
    default: "64MiB",
    schema: v.pipe(
      sizeSchema(0, Number.MAX_SAFE_INTEGER),
      v.check((bytes) => bytes === 0 || bytes >= DISK_RESERVE_MIN),
    ),
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
  backupDir: {
    takes: "a directory",
    help: "while it leads, this node writes backups into it (default none)",
    default: null,
    schema: v.nullable(pathSchema),
  },
  backupInterval: {
    takes: "a duration from 1s to 365d, such as 1h",
    help: "from one backup in --backup-dir to the next",
    default: "1h",
    unit: "ms",
    schema: durationSchema(1000, 365 * 86_400_000),
  },
  backupKeep: {
    takes: "a number from 1 to 100000",
    help: "how many of the cluster's newest backups stay in --backup-dir",
    default: "24",
    schema: countSchema(1, 100_000),
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
