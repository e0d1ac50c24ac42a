/** Who can get to a node, and what has to stand in their way. */
import { BadConfiguration } from "../errors.ts";
import { flagOf, urlOf } from "./options.ts";
import { advertised, isLoopback, standingOf } from "./rules.ts";
import { type Read, refuse } from "./sources.ts";

/** Files in PEM; null where one isn't given. */
export interface TlsPaths {
  /** This node's chain, and its key: with them it serves https, and shows them to peers that ask for a certificate. */
  readonly cert: string | null;
  readonly key: string | null;
  /** The roots of peers' certificates; the runtime's own where it is null. */
  readonly ca: string | null;
  /** The roots of the certificates that clients and peers have to present. */
  readonly clientCa: string | null;
}

/** The files that options name. */
export function tlsPathsOf(read: Read): TlsPaths {
  return {
    cert: read("tlsCert"),
    key: read("tlsKey"),
    ca: read("tlsCa"),
    clientCa: read("tlsClientCa"),
  };
}

function checkTls(read: Read): void {
  const { cert, key, clientCa } = tlsPathsOf(read);
  if (cert !== null && key === null) refuse("tlsKey", "it is needed beside --tls-cert");
  if (cert === null && key !== null) refuse("tlsCert", "it is needed beside --tls-key");
  if (cert === null && clientCa !== null) {
    refuse("tlsClientCa", "--tls-cert is needed beside it: without TLS nobody presents anything");
  }
}

const orNot = `or say ${flagOf("insecure")}`;

function checkSecret(read: Read): void {
  const [secret, secretFile] = [read("secret"), read("secretFile")];
  if (secret !== null && secretFile !== null) refuse("secretFile", "--secret is given as well");
  if (secret !== null || secretFile !== null || read("insecure")) return;
  const { peers, join, discovery } = standingOf(read);
  if (discovery !== null) {
    refuse(
      "secret",
      `it is required because ${discovery.at.text} may lead beyond loopback; ${orNot}`,
    );
  }
  const others = Object.values({ ...peers, ...join }).find(isOutside);
  const outside = others ?? exposedAt(advertised(read), urlOf(read("listen")));
  if (outside === null) return;
  refuse("secret", `it is required because ${outside} is not loopback; ${orNot}`);
}

function checkAuth(read: Read): void {
  if (read("auth") || read("insecure")) return;
  const open = exposedAt(advertised(read), urlOf(read("listen")));
  if (open === null) return;
  throw new BadConfiguration(
    `${flagOf("auth")} on is required because ${open} is not loopback: ` +
      `without it whoever gets there reads and writes everything; ${orNot}`,
  );
}

/**
 * Whoever comes is root then. A node that is reached through something else than where it listens leaves it to that who
 * comes, and has to be told so.
 */
function checkRecovery(read: Read): void {
  if (!read("recoverAccess")) return;
  const urls = [urlOf(read("listen")), ...(read("insecure") ? [] : [advertised(read)])];
  const open = exposedAt(...urls);
  if (open !== null) refuse("recoverAccess", `${open} is not loopback`);
}

/** A node is not open to strangers unless it is told that it may. Each throws where it would be. */
export const exposureRules: readonly ((read: Read) => void)[] = [
  checkTls,
  checkSecret,
  checkAuth,
  checkRecovery,
];

/** What an operator has to be told at each start. */
export function exposureWarnings(read: Read): readonly string[] {
  const warnings: string[] = [];
  if (read("recoverAccess")) {
    const flag = flagOf("recoverAccess");
    warnings.push(`whoever comes without a token is served as root, until it runs without ${flag}`);
  }
  const open = exposedAt(advertised(read), urlOf(read("listen")));
  if (open === null) return warnings;
  if (read("secret") === null && read("secretFile") === null) {
    warnings.push(`${open} is open to strangers that pass for peers: there is no --secret`);
  }
  if (read("recoverAccess")) {
    warnings.push(`${open} is open to whoever gets there without a token, as root`);
  }
  const auth = read("auth");
  if (!auth) {
    warnings.push(`${open} is open to whoever gets there, to read and to write: --auth is off`);
  }
  if (auth && read("tlsCert") === null && !advertised(read).startsWith("https:")) {
    warnings.push(`tokens travel in clear to ${open}: there is no --tls-cert`);
  }
  return warnings;
}

/** The first of a node's own URLs that others than this machine may get to. */
function exposedAt(...urls: readonly string[]): string | null {
  return urls.find(isOutside) ?? null;
}

function isOutside(url: string): boolean {
  return !isLoopback(new URL(url).hostname);
}
