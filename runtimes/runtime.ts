/** What differs between runtimes. */
import type { NamesOf } from "../src/adapters/dns-lookup.ts";
import type { PeerFetch } from "../src/adapters/fetch-transport.ts";
import type { LogSink } from "../src/adapters/json-logger.ts";
import type { ClientCredentials, ServerCredentials } from "../src/adapters/tls-files.ts";
import type { ServerLimits } from "../src/config.ts";
import type { Clock, FileSystem } from "../src/ports.ts";
import type { ListenAddress } from "../src/config/options.ts";
import type { Handler } from "./door.ts";

/** A server that listens. */
export interface Server {
  /** Takes no more connections, and closes those it has, at `timeoutMs` at the latest. */
  close(timeoutMs: number): Promise<void>;
}

/** A server that listens for TLS. */
export interface TlsServer extends Server {
  /**
   * Shows these to whoever connects from now on; connections that are open go on. Deno takes whatever it is given,
   * so they have to have been looked at before.
   */
  replace(credentials: ServerCredentials): void;
}

/** A way to peers over TLS. */
export interface TlsPeerFetch {
  readonly fetch: PeerFetch;
  /** It is used no more: its connections close when what is on its way there is answered. */
  readonly retire: () => void;
}

/** What a runtime brings. */
export interface Runtime {
  /** Name and version, such as `bun 1.4.5`. */
  readonly name: string;
  /** @throws where the address can't be listened on; `code` says why. */
  serve(address: ListenAddress, handler: Handler, limits: ServerLimits): Promise<Server>;
  /** The same over TLS, with HTTP/1.1. */
  serveTls(
    address: ListenAddress,
    handler: Handler,
    limits: ServerLimits,
    credentials: ServerCredentials,
  ): Promise<TlsServer>;
  readonly peerFetch: PeerFetch;
  /** The system's, if not given. */
  readonly clock?: Clock;
  /** The system's, if not given. */
  readonly fileSystem?: FileSystem;
  /** How names are looked up, if not by `node:dns`. */
  readonly names?: NamesOf;
  /** Reaches peers with roots or a certificate of one's own. */
  readonly peerFetchWith: (credentials: ClientCredentials) => TlsPeerFetch;
  /** Where the log goes, if `node:fs` would block on it. */
  readonly logSink?: LogSink;
}
