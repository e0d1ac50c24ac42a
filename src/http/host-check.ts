/**
 * Keeps web pages away from a node that they have no business with. A page can have its visitor's browser send requests
 * to any address that the browser gets to: loopback, and what is behind a firewall.
 *
 * - **Host.** Under its own name, once that has been made to lead here (DNS rebinding), a page may even read the
 *   answers. The browser then says that name in `Host`; so only names that this node is known by are taken. Addresses
 *   are all taken, for nobody can let one lead elsewhere; so are names without a dot, for no stranger can have one;
 *   and so is a request that names no host, as no browser's does.
 * - **Origin.** Under another name than ours a page can send, and not read. A browser says with what may change something
 *   whose page it was: those of this node's own origin are taken, and those that are allowed, which may read as well
 *   (CORS). All others are refused.
 *
 * Peers' requests are looked at where peers share no secret: a page under a name of its own could pass for one of them.
 */
import { Refusal } from "./problem.ts";

export interface HostCheckOptions {
  /** Names beside those that `known` gives, in lower case; `*` for all. */
  readonly allowedHosts: readonly string[];
  /** Origins beside the node's own; `*` for all. */
  readonly allowedOrigins: readonly string[];
  /** URLs that this node, or one like it, goes by at the moment. */
  readonly known: () => readonly string[];
  /** Whether peers sign what they say: then it doesn't matter by which name they ask. */
  readonly peersSign: boolean;
  /** Whether it is reached by TLS without anything in between: then its own origin is one of https. */
  readonly isTls: boolean;
}

/** What a request is let in with. */
export type Admission =
  /** As it is. */
  | null
  | { readonly refusal: Refusal }
  /** Of a page that is allowed to: headers of the answer. */
  | { readonly cors: Readonly<Record<string, string>> }
  /** A browser's question whether it may (Fetch Standard, CORS-preflight): the answer's headers. */
  | { readonly preflight: Readonly<Record<string, string>> };

/** Hosts as they were written, port and all, that are known to be right. */
const SEEN_MAX = 1024;
const methods = "GET, HEAD, PUT, POST, DELETE";
/** Headers that routes read. */
const requestHeaders = [
  "accept",
  "authorization",
  "content-type",
  "holdfast-metadata",
  "holdfast-sequence",
  "idempotency-key",
  "if-match",
  "if-none-match",
  "last-event-id",
  "traceparent",
  "tracestate",
].join(", ");
/** For so many seconds a browser doesn't ask again. */
const PREFLIGHT_SECONDS = 600;

export class HostCheck {
  readonly #options: HostCheckOptions;
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;
  readonly #seen = new Set<string>();

  constructor(options: HostCheckOptions) {
    this.#options = options;
    this.#hosts = new Set(options.allowedHosts);
    this.#origins = new Set(options.allowedOrigins);
  }

  /** Whether requests of peers are looked at as well. */
  get isForPeers(): boolean {
    return !this.#options.peersSign;
  }

  /** Looks at a request. */
  admit({ method, headers }: Pick<Request, "method" | "headers">): Admission {
    const host = headers.get("host");
    if (host !== null && !this.#seen.has(host) && !this.#isKnown(host)) {
      const name = JSON.stringify(host.slice(0, 256));
      return {
        refusal: new Refusal(
          "forbidden",
          `Host is ${name}, by which this node is not known: --allowed-hosts adds a name`,
        ),
      };
    }
    const origin = headers.get("origin");
    if (origin === null || this.#isOwn(origin, host)) return null;
    const isAny = this.#origins.has("*");
    if (!isAny && !this.#origins.has(origin)) {
      const name = JSON.stringify(origin.slice(0, 256));
      return {
        refusal: new Refusal(
          "forbidden",
          `Origin is ${name}, whose pages may not use this node: --allowed-origins adds one`,
        ),
      };
    }
    const common = { "access-control-allow-origin": isAny ? "*" : origin, "vary": "Origin" };
    const isPreflight = method === "OPTIONS" && headers.has("access-control-request-method");
    if (!isPreflight) return { cors: { ...common, "access-control-expose-headers": "*" } };
    return {
      preflight: {
        ...common,
        "access-control-allow-methods": methods,
        "access-control-allow-headers": requestHeaders,
        "access-control-max-age": String(PREFLIGHT_SECONDS),
        ...(headers.get("access-control-request-private-network") === "true"
          ? { "access-control-allow-private-network": "true" }
          : {}),
      },
    };
  }

  #isKnown(host: string): boolean {
    const name = nameIn(host);
    if (name === null || !this.#isName(name)) return false;
    // Whoever asks may say any port with any address.
    if (this.#seen.size >= SEEN_MAX) this.#seen.clear();
    this.#seen.add(host);
    return true;
  }

  #isName(name: string): boolean {
    if (isAddress(name) || !name.includes(".") || name.endsWith(".localhost")) return true;
    if (this.#hosts.has("*") || this.#hosts.has(name)) return true;
    return this.#options.known().some((url) => nameIn(hostIn(url)) === name);
  }

  #isOwn(origin: string, host: string | null): boolean {
    if (host === null) return false;
    return origin === `https://${host}` || (!this.#options.isTls && origin === `http://${host}`);
  }
}

/** What stands between the scheme and the path. */
function hostIn(url: string): string {
  const start = url.indexOf("://") + 3;
  const end = url.indexOf("/", start);
  return end === -1 ? url.slice(start) : url.slice(start, end);
}

/** The name or address in a `Host`, in lower case, without port and the dot of the root; null where it is none. */
function nameIn(host: string): string | null {
  const [, bracketed, name] = /^(?:(\[[0-9A-Fa-f:.]+\])|([A-Za-z0-9._-]+?)\.?)(?::\d{1,5})?$/
    .exec(host) ?? [];
  return (bracketed ?? name ?? null)?.toLowerCase() ?? null;
}

/** An address as it is. A name that a URL's parser takes for an address (`127.1`) leads to that address too. */
function isAddress(name: string): boolean {
  return name.startsWith("[") || /^\d{1,3}(\.\d{1,3}){3}$/.test(name);
}
