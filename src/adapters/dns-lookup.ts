/** What names lead to: addresses (A, AAAA) and services (SRV, RFC 2782). */
import { lookup, Resolver } from "node:dns/promises";
import type { DnsName, DnsServer } from "../config/dns-name.ts";

/** Questions to the DNS. Each rejects where there is no answer. */
export interface Names {
  /** IPv4 and IPv6 addresses, these without brackets. */
  addresses(name: string): Promise<readonly string[]>;
  services(name: string): Promise<readonly Service[]>;
}

/** Where a service listens. */
export interface Service {
  /** A name. */
  readonly host: string;
  readonly port: number;
}

/** Makes {@link Names} of servers that are to be asked; none: as the system does. */
export type NamesOf = (servers: readonly DnsServer[]) => Names;

/** Where a member may be reached: `host:port`, the host a name or an address, IPv6 in brackets. */
export type Endpoint = string;

/** What SRV records of the members are found by, in front of the name. */
const SERVICE = "_holdfast._tcp";
const TIMEOUT_MS = 1000;
const TRIES = 2;

/** {@link Names} over `node:dns`. */
export const createNodeNames: NamesOf = (servers) => {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
  if (servers.length > 0) resolver.setServers(servers.map(spelled));
  return {
    services: async (name) =>
      (await resolver.resolveSrv(name)).map(({ name: host, port }) => ({ host, port })),
    addresses: async (name) => {
      // As the system does: `/etc/hosts` and search domains count.
      if (servers.length === 0) {
        return (await lookup(name, { all: true })).map(({ address }) => address);
      }
      return await either(resolver.resolve4(name), resolver.resolve6(name));
    },
  };
};

/** What all came to. An error where one broke off, for what it would have said is missing, or where nothing is there. */
export async function either(
  ...questions: readonly Promise<readonly string[]>[]
): Promise<readonly string[]> {
  const answers = await Promise.allSettled(questions);
  const found = answers.flatMap((answer) => answer.status === "fulfilled" ? answer.value : []);
  const failed = answers.flatMap((answer) => answer.status === "rejected" ? [answer.reason] : []);
  const broken = failed.find((reason) => !isAbsent(reason)) ??
    (found.length === 0 ? failed[0] : null);
  if (broken === undefined || broken === null) return found;
  throw broken;
}

/** Whether the answer was that there is nothing: codes of Node and Bun, and the name of Deno's error. */
function isAbsent(reason: unknown): boolean {
  if (!(reason instanceof Error)) return false;
  const code = "code" in reason ? reason.code : null;
  return reason.name === "NotFound" || code === "ENOTFOUND" || code === "ENODATA";
}

/**
 * Where the members are that a name has: what its SRV records say, or where it has none its addresses, with its port.
 * Names in SRV records are looked up with `servers`, where they are given; else whoever connects looks them up.
 * @throws {Error} where there is nothing.
 */
export async function endpointsOf(
  { name, port }: DnsName,
  names: Names,
  servers: readonly DnsServer[],
): Promise<readonly Endpoint[]> {
  const services = await names.services(`${SERVICE}.${name}`).catch(() => []);
  const targets = services.filter(({ host }) => host !== "" && host !== ".");
  if (targets.length > 0) {
    const all = await Promise.all(targets.map(async ({ host, port }) => {
      const plain = host.replace(/\.$/, "");
      const hosts = servers.length === 0 ? [plain] : await names.addresses(plain);
      return hosts.map((one) => joined(one, port));
    }));
    return unique(all.flat());
  }
  if (port === null) throw new Error(`${SERVICE}.${name} has no SRV records, and no port is given`);
  const addresses = await names.addresses(name);
  if (addresses.length === 0) throw new Error(`${name} has no addresses`);
  return unique(addresses.map((address) => joined(address, port)));
}

function unique(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  return [...new Set(endpoints)].sort();
}

function joined(host: string, port: number): Endpoint {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function spelled({ address, port }: DnsServer): string {
  return joined(address, port);
}
