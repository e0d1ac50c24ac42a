/**
 * What a node is told, and the named bounds of everything that could grow. The table of options (`config/options.ts`)
 * is the one source of flags, environment variables, help and checks; this file reads it and holds the rules that tie
 * one option to another.
 */
import * as v from "valibot";
import {
  environmentOf,
  flagOf,
  type ListenAddress,
  nodeOptions,
  type Option,
  type OptionName,
  type OptionValues,
  urlOf,
  VALUE_BYTES_LIMIT,
} from "./config/options.ts";
import { BadConfiguration } from "./errors.ts";
import type { LogLevel } from "./ports.ts";
import type { RaftLimits } from "./raft/step.ts";
import type { NodeId } from "./raft/types.ts";

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
  /** Bytes of a body that a runtime hands on at all; the routes' own limits are lower. */
  readonly bodyBytesMax: number;
}
/** See {@link ServerLimits}. */
export const serverLimits: ServerLimits = {
  headerBytesMax: 32 * KIB,
  headersTimeoutMs: 10_000,
  arrivalTimeoutMs: 60_000,
  idleTimeoutMs: 75_000,
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

/** What a node was told. Times are milliseconds, sizes bytes. */
export interface NodeConfig {
  readonly id: NodeId;
  readonly listen: ListenAddress;
  /** The URL that peers and clients reach this node by: an origin, without a slash at its end. */
  readonly advertise: string;
  /** The cluster's first voters, this node among them; itself alone where it is to join one. */
  readonly peers: Readonly<Record<NodeId, string>>;
  /** Others that know the cluster which this node is to join; null where it is one of the first. */
  readonly join: Readonly<Record<NodeId, string>> | null;
  readonly data: string;
  readonly storage: "file" | "memory";
  readonly secret: string | null;
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** The leadership is handed to a voter with a higher one. */
  readonly priority: number;
  readonly leaseReads: boolean;
  readonly maxClockDrift: number;
  readonly snapshotEntries: number;
  readonly snapshotBytes: number;
  readonly trailingEntries: number;
  readonly historyRevisions: number;
  readonly historyBytes: number;
  readonly maxValueBytes: number;
  readonly requestTimeoutMs: number;
  readonly logLevel: LogLevel;
}

/** Texts by name: of options, or of environment variables. */
export type Texts = Readonly<Record<string, string | undefined>>;

function refuse(name: OptionName, why: string): never {
  throw new BadConfiguration(`${flagOf(name)} takes ${nodeOptions[name].takes}; ${why}`);
}

function shown(text: string, option: Option<unknown>): string {
  if (option.isSecret === true) return `${text.length} characters`;
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}

/** Reads one option: the flag before the environment variable before the default. */
function readOption<Name extends OptionName>(
  name: Name,
  flags: Texts,
  environment: Texts,
): OptionValues[Name] {
  const option: Option<OptionValues[Name]> = nodeOptions[name];
  const variable = environmentOf(name);
  // An empty variable is an unset one: that is how container files pass on what nobody gave.
  const text = flags[name] ?? (environment[variable] || option.default);
  const result = v.safeParse(option.schema, text);
  if (result.success) return result.output;
  const source = flags[name] === undefined ? `${variable} is` : "got";
  return refuse(name, `${source} ${shown(text ?? "", option)}`);
}

/**
 * Reads a node's options. `flags` holds what the command line gave, by the table's names (`electionTimeout`).
 * @throws {BadConfiguration} one line that names the flag and what it takes.
 */
export function readNodeConfig(flags: Texts, environment: Texts): NodeConfig {
  const read = <Name extends OptionName>(name: Name): OptionValues[Name] =>
    readOption(name, flags, environment);
  const id = read("id");
  const listen = read("listen");
  const given = read("peers");
  // First voters of which this node is none have formed the cluster that it is to join.
  const isFirst = given === null || Object.hasOwn(given, id);
  const peers = isFirst ? given : null;
  const join = othersOf(id, read("join"), given) ?? (isFirst ? null : given);
  const advertise = advertised(id, listen, read("advertise"), peers);
  const config: NodeConfig = {
    id,
    listen,
    advertise,
    peers: peers ?? Object.fromEntries([[id, advertise]]),
    join,
    data: read("data") ?? defaultData(id),
    storage: read("storage"),
    secret: read("secret"),
    electionTimeoutMs: read("electionTimeout"),
    heartbeatIntervalMs: read("heartbeatInterval"),
    priority: read("priority"),
    leaseReads: read("leaseReads"),
    maxClockDrift: read("maxClockDrift"),
    snapshotEntries: read("snapshotEntries"),
    snapshotBytes: read("snapshotBytes"),
    trailingEntries: read("trailingEntries"),
    historyRevisions: read("historyRevisions"),
    historyBytes: read("historyBytes"),
    maxValueBytes: read("maxValueBytes"),
    requestTimeoutMs: read("requestTimeout"),
    logLevel: read("logLevel"),
  };
  if (config.heartbeatIntervalMs * 3 > config.electionTimeoutMs) {
    refuse(
      "heartbeatInterval",
      `${config.heartbeatIntervalMs}ms is more than a third of ${config.electionTimeoutMs}ms`,
    );
  }
  if (config.secret === null) refuseUnlessLoopback(config);
  return config;
}

/** Whom to ask about the cluster that this node is to join: all that `--join` names but itself. */
function othersOf(
  id: NodeId,
  join: Readonly<Record<NodeId, string>> | null,
  peers: Readonly<Record<NodeId, string>> | null,
): Readonly<Record<NodeId, string>> | null {
  if (join === null) return null;
  if (peers !== null) refuse("join", "--peers is given as well, which forms a cluster");
  const others = Object.entries(join).filter(([other]) => other !== id);
  if (others.length === 0) refuse("join", `it names none but this node, ${id}`);
  return Object.fromEntries(others);
}

/** The URL that others reach this node by: given, or as `--peers` has it, or where it listens. */
function advertised(
  id: NodeId,
  listen: ListenAddress,
  given: string | null,
  peers: Readonly<Record<NodeId, string>> | null,
): string {
  const own = peers?.[id] ?? null;
  if (given !== null) {
    if (own !== null && own !== given) {
      refuse("advertise", `${given} is not what --peers says of ${id}: ${own}`);
    }
    return given;
  }
  if (own !== null) {
    const port = Number(new URL(own).port) || (own.startsWith("https:") ? 443 : 80);
    if (port === listen.port) return own;
    refuse(
      "advertise",
      `it is needed where --peers says of ${id} ${own} and it listens on port ${listen.port}`,
    );
  }
  if (isWildcard(listen.host)) {
    refuse("advertise", `it is needed where --listen is the wildcard ${listen.host}`);
  }
  return new URL(urlOf(listen)).origin;
}

function defaultData(id: NodeId): string {
  if (id === "." || id === "..") refuse("data", `it is needed where the id is ${id}`);
  return `./data/${id}`;
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || /^[0:]+$/.test(host);
}

/** Whether a host, as in a URL, can only be this machine. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || host === "::1" ||
    /^127\.\d+\.\d+\.\d+$/.test(host);
}

function refuseUnlessLoopback(config: NodeConfig): void {
  const { peers, join, advertise, listen } = config;
  const urls = [...Object.values({ ...peers, ...join }), advertise, urlOf(listen)];
  const outside = urls.find((url) => !isLoopback(new URL(url).hostname));
  if (outside === undefined) return;
  refuse("secret", `it is required because ${outside} is not loopback`);
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
