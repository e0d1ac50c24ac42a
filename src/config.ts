/**
 * What a node is told, and the named bounds of everything that could grow. The table of options (`config/options.ts`)
 * is the one source of flags, environment variables, help and checks; this file reads it and holds the rules that tie
 * one option to another.
 */
import type { ConfigFile } from "./config/file.ts";
import {
  environmentOf,
  flagOf,
  type ListenAddress,
  nodeOptions,
  type Option,
  type OptionName,
  VALUE_BYTES_LIMIT,
} from "./config/options.ts";
import { exposureRules, exposureWarnings, type TlsPaths, tlsPathsOf } from "./config/exposure.ts";
import { advertised, dataOf, type Discovery, rules, standingOf } from "./config/rules.ts";
import { type Read, readerOf, type Texts } from "./config/sources.ts";
import { BadConfiguration } from "./errors.ts";
import type { LogLevel, ProposalLimits } from "./ports.ts";
import type { RaftLimits } from "./raft/step.ts";
import type { NodeId } from "./raft/types.ts";

export type { TlsPaths } from "./config/exposure.ts";
export { isLoopback } from "./config/rules.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bounds of the consensus core's queues; see {@link RaftLimits}. `trailingEntries` is an option. */
export const raftLimits: Omit<RaftLimits, "trailingEntries"> = {
  appendBytesMax: MIB,
  inflightAppendsMax: 8,
  inflightBytesMax: 8 * MIB,
  // More than this takes a busy disk longer than an election timeout: clients would get 504, and the leader its leave.
  uncommittedBytesMax: 16 * MIB,
  applyLagMax: 20_000,
  pendingReadsMax: 4096,
  trailingBytesMax: 64 * MIB,
};

/** When a leader refuses what clients propose, its followers' included; see {@link ProposalLimits}. */
export const proposalLimits: ProposalLimits = { delayMsMax: 500, pendingMin: 32 };

/** Entries in one append message: as many as its bytes can hold of the smallest record, which is 25 bytes. */
export const APPEND_ENTRIES_MAX: number = Math.ceil(raftLimits.appendBytesMax / 25);
/** Bytes of a command: the largest value, its key, its content type and its conditions. */
export const COMMAND_BYTES_MAX: number = VALUE_BYTES_LIMIT + 64 * KIB;
/** A write to disk that takes longer ends the process, in milliseconds. */
export const DISK_STALL_MS = 10_000;
/** A peer that does not answer a message for this many election timeouts counts as unreachable. */
export const PEER_TIMEOUT_FACTOR = 2;
/** Followers hear of a commit after so many milliseconds, where no write comes that tells of it as well. */
export const COMMIT_NOTICE_DELAY_MS = 5;

/** Bounds of what a runtime's server accepts, before any route sees it. */
export interface ServerLimits {
  /** A request's line and headers together: a key of 2,048 bytes is up to 6,144 percent-encoded. */
  readonly headerBytesMax: number;
  /** How long a request's headers may take, in milliseconds. */
  readonly headersTimeoutMs: number;
  /** How long a whole request may take to arrive, in milliseconds. */
  readonly arrivalTimeoutMs: number;
  /** How long a connection may stay open without a request, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** Connections that wait to be accepted; the system may bound them lower (Linux: `net.core.somaxconn`). */
  readonly backlogMax: number;
  /** Bytes of a body that a runtime hands on at all; the routes' own limits are lower. */
  readonly bodyBytesMax: number;
}
/** See {@link ServerLimits}. */
export const serverLimits: ServerLimits = {
  headerBytesMax: 32 * KIB,
  headersTimeoutMs: 10_000,
  arrivalTimeoutMs: 60_000,
  idleTimeoutMs: 75_000,
  backlogMax: 4096,
  bodyBytesMax: 64 * MIB,
};

/** Bounds of a stop, in milliseconds. */
export interface StopLimits {
  /** Handing leadership over. */
  readonly transferTimeoutMs: number;
  /** Answering what is under way. */
  readonly drainTimeoutMs: number;
  /** Getting the last answers out of the sockets. */
  readonly closeTimeoutMs: number;
  /** All of it; after that the process ends as it is. */
  readonly stopTimeoutMs: number;
}
/** See {@link StopLimits}. The contract allows 10 s. */
export const stopLimits: StopLimits = {
  transferTimeoutMs: 2_000,
  drainTimeoutMs: 3_000,
  closeTimeoutMs: 250,
  stopTimeoutMs: 8_000,
};

/** When a node takes backups by itself, and where to. */
export interface BackupPlan {
  readonly directory: string;
  readonly intervalMs: number;
  /** So many of the newest stay. */
  readonly keep: number;
}

/** What a node was told. Times are milliseconds, sizes bytes. */
export interface NodeConfig {
  readonly id: NodeId;
  readonly listen: ListenAddress;
  /** The URL that peers and clients reach this node by: an origin, without a slash at its end. */
  readonly advertise: string;
  /** The cluster's first voters, this node among them; itself alone where it is to join one, or to find them. */
  readonly peers: Readonly<Record<NodeId, string>>;
  /** Others that know the cluster which this node is to join; null where it is one of the first, or is to find them. */
  readonly join: Readonly<Record<NodeId, string>> | null;
  /** How the cluster's members are found by a name; null where they are named one by one. */
  readonly discovery: Discovery | null;
  readonly data: string;
  readonly storage: "file" | "memory";
  /** They sign peer messages, the first of them; none where they are in `secretFile`, or there are none. */
  readonly secrets: readonly string[];
  /** A file of secrets, one a line, that is read again when it changes. */
  readonly secretFile: string | null;
  readonly tls: TlsPaths;
  /** Names that clients may call this node by, beside those that it knows itself by. */
  readonly allowedHosts: readonly string[];
  /** Web pages that may use this node, beside its own. */
  readonly allowedOrigins: readonly string[];
  /** Whether clients need tokens; they do wherever the cluster has a root token. */
  readonly auth: boolean;
  /** The cluster's first token, where it has none; null where it is made. */
  readonly rootToken: string | null;
  /** Whether who comes without a token is served as root. */
  readonly recoverAccess: boolean;
  /** What has to be told at each start. */
  readonly warnings: readonly string[];
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** The leadership is handed to a voter with a higher one. */
  readonly priority: number;
  readonly leaseReads: boolean;
  readonly maxClockDrift: number;
  readonly snapshotEntries: number;
  readonly snapshotBytes: number;
  readonly trailingEntries: number;
  /** What is kept free on the disk; 0 where nobody looks. */
  readonly diskReserveBytes: number;
  readonly historyRevisions: number;
  readonly historyBytes: number;
  /** Backups that this node takes by itself while it leads. */
  readonly backups: BackupPlan | null;
  readonly maxValueBytes: number;
  readonly requestTimeoutMs: number;
  readonly logLevel: LogLevel;
}

const allRules = [...rules, ...exposureRules];

/**
 * Reads a node's options. `flags` holds what the command line gave, by the table's names (`electionTimeout`).
 * @throws {BadConfiguration} one line that names the flag and what it takes.
 */
export function readNodeConfig(
  flags: Texts,
  environment: Texts,
  file: ConfigFile | null = null,
): NodeConfig {
  const [problem] = file?.problems ?? [];
  if (problem !== undefined) throw new BadConfiguration(problem);
  const read = readerOf({ flags, environment, file });
  for (const rule of allRules) rule(read);
  const id = read("id");
  const { peers, join, discovery } = standingOf(read);
  const advertise = advertised(read);
  return {
    id,
    listen: read("listen"),
    advertise,
    peers: peers ?? Object.fromEntries([[id, advertise]]),
    join,
    discovery,
    data: dataOf(read),
    storage: read("storage"),
    secrets: read("secret") ?? [],
    secretFile: read("secretFile"),
    tls: tlsPathsOf(read),
    allowedHosts: read("allowedHosts") ?? [],
    allowedOrigins: read("allowedOrigins") ?? [],
    auth: read("auth"),
    rootToken: read("rootToken"),
    recoverAccess: read("recoverAccess"),
    warnings: exposureWarnings(read),
    electionTimeoutMs: read("electionTimeout"),
    heartbeatIntervalMs: read("heartbeatInterval"),
    priority: read("priority"),
    leaseReads: read("leaseReads"),
    maxClockDrift: read("maxClockDrift"),
    snapshotEntries: read("snapshotEntries"),
    snapshotBytes: read("snapshotBytes"),
    trailingEntries: read("trailingEntries"),
    diskReserveBytes: read("diskReserve"),
    historyRevisions: read("historyRevisions"),
    historyBytes: read("historyBytes"),
    backups: backupsOf(read),
    maxValueBytes: read("maxValueBytes"),
    requestTimeoutMs: read("requestTimeout"),
    logLevel: read("logLevel"),
  };
}

function backupsOf(read: Read): BackupPlan | null {
  const directory = read("backupDir");
  const rest = { intervalMs: read("backupInterval"), keep: read("backupKeep") };
  return directory === null ? null : { directory, ...rest };
}

/** All that is wrong with what a node is told, a line each; empty where {@link readNodeConfig} would take it. */
export function problemsOf(
  flags: Texts,
  environment: Texts,
  file: ConfigFile | null,
): readonly string[] {
  const read = readerOf({ flags, environment, file });
  const whole = (): unknown => readNodeConfig(flags, environment, file);
  const options = (Object.keys(nodeOptions) as OptionName[]).map((name) => () => read(name));
  // A rule that meets a bad option says what was said before.
  const problems = new Set(file?.problems);
  for (const attempt of [...options, ...allRules.map((rule) => () => rule(read)), whole]) {
    try {
      attempt();
    } catch (error) {
      if (!(error instanceof BadConfiguration)) throw error;
      problems.add(error.message);
    }
  }
  return [...problems];
}

/** The table of options for `--help`. */
export function nodeHelp(): string {
  const rows = (Object.keys(nodeOptions) as OptionName[]).map((name) => {
    const option: Option<unknown> = nodeOptions[name];
    const preset = option.default === null ? "" : ` (default ${option.default})`;
    return [flagOf(name), environmentOf(name), `${option.help}${preset}`, option.takes] as const;
  });
  const flagWidth = Math.max(...rows.map(([flag]) => flag.length));
  const variableWidth = Math.max(...rows.map(([, variable]) => variable.length));
  const indent = " ".repeat(flagWidth + variableWidth + 6);
  return rows.map(([flag, variable, help, takes]) =>
    `  ${flag.padEnd(flagWidth)}  ${
      variable.padEnd(variableWidth)
    }  ${help}\n${indent}takes ${takes}\n`
  ).join("");
}
