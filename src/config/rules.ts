/** The rules that tie one option to another. */
import type { NodeId } from "../raft/types.ts";
import { DnsName, type DnsServer } from "./dns-name.ts";
import { urlOf } from "./options.ts";
import { type Read, refuse } from "./sources.ts";

/** Members that are found by a name. */
export interface Discovery {
  readonly at: DnsName;
  /** How many first voters there are, this node among them; null where it is to join a cluster. */
  readonly expect: number | null;
  /** Whom to ask; empty: as the system does. */
  readonly servers: readonly DnsServer[];
}

/** How this node comes to its cluster. */
export interface Standing {
  /** The first voters, this node among them; null where they are not named one by one. */
  readonly peers: Readonly<Record<NodeId, string>> | null;
  readonly join: Readonly<Record<NodeId, string>> | null;
  readonly discovery: Discovery | null;
}

/** Who forms the cluster, or whom this node asks about it. @throws {BadConfiguration} */
export function standingOf(read: Read): Standing {
  const id = read("id");
  const given = read("peers");
  const join = read("join");
  const expect = read("peersExpect");
  const servers = read("dnsServer") ?? [];
  if (join !== null && given !== null) {
    refuse("join", "--peers is given as well, which forms a cluster");
  }
  if (given instanceof DnsName) {
    if (expect === null) refuse("peersExpect", `it is needed where --peers is ${given.text}`);
    return { peers: null, join: null, discovery: { at: given, expect, servers } };
  }
  if (join instanceof DnsName) {
    return { peers: null, join: null, discovery: { at: join, expect: null, servers } };
  }
  const count = Object.keys(given ?? {}).length;
  if (given !== null && expect !== null && expect !== count) {
    refuse("peersExpect", `it is ${expect}, and --peers names ${count}`);
  }
  if (join !== null) return { peers: null, join: othersOf(id, join), discovery: null };
  // First voters of which this node is none have formed the cluster that it is to join.
  const isFirst = given === null || Object.hasOwn(given, id);
  return isFirst
    ? { peers: given, join: null, discovery: null }
    : { peers: null, join: given, discovery: null };
}

/** Whom to ask about the cluster that this node is to join: all that `--join` names but itself. */
function othersOf(
  id: NodeId,
  join: Readonly<Record<NodeId, string>>,
): Readonly<Record<NodeId, string>> {
  const others = Object.entries(join).filter(([other]) => other !== id);
  if (others.length === 0) refuse("join", `it names none but this node, ${id}`);
  return Object.fromEntries(others);
}

/** The URL that others reach this node by: given, or as `--peers` has it, or where it listens. */
export function advertised(read: Read): string {
  const id = read("id");
  const listen = read("listen");
  const given = read("advertise");
  const own = standingOf(read).peers?.[id] ?? null;
  const scheme = read("tlsCert") === null ? "http" : "https";
  if (given !== null) {
    if (own !== null && own !== given) {
      refuse("advertise", `${given} is not what --peers says of ${id}: ${own}`);
    }
    return given;
  }
  if (own !== null) {
    if (new URL(own).protocol !== `${scheme}:`) {
      refuse(
        "advertise",
        `it is needed where --peers says of ${id} ${own} and it serves ${scheme}`,
      );
    }
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
  return new URL(urlOf(listen, scheme)).origin;
}

/** Where log and snapshots are kept. @throws {BadConfiguration} */
export function dataOf(read: Read): string {
  const id = read("id");
  const data = read("data");
  if (data !== null) return data;
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

function checkHeartbeat(read: Read): void {
  const heartbeatMs = read("heartbeatInterval");
  const electionMs = read("electionTimeout");
  if (heartbeatMs * 3 <= electionMs) return;
  refuse("heartbeatInterval", `${heartbeatMs}ms is more than a third of ${electionMs}ms`);
}

/** A token that is made has to be found: memory keeps no file, and a log is no place for it. */
function checkRootToken(read: Read): void {
  if (!read("auth") || read("storage") === "file" || read("rootToken") !== null) return;
  refuse("rootToken", "it is needed where --auth is on and --storage is memory");
}

/** What ties options to each other. Each throws where it is broken. */
export const rules: readonly ((read: Read) => unknown)[] = [
  (read) => read("config"),
  standingOf,
  advertised,
  dataOf,
  checkHeartbeat,
  checkRootToken,
];
