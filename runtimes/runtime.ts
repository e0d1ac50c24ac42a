/** What differs between runtimes. */
import type { PeerFetch } from "../src/adapters/fetch-transport.ts";
import type { LogSink } from "../src/adapters/json-logger.ts";
import type { ServerLimits } from "../src/config.ts";
import type { ListenAddress } from "../src/config/options.ts";
import type { Handler } from "./door.ts";

/** A server that listens. */
export interface Server {
  /** Takes no more connections, and closes those it has, at `timeoutMs` at the latest. */
  close(timeoutMs: number): Promise<void>;
}

/** What a runtime brings. */
export interface Runtime {
  /** Name and version, such as `bun 1.4.5`. */
  readonly name: string;
  /** @throws where the address can't be listened on; `code` says why. */
  serve(address: ListenAddress, handler: Handler, limits: ServerLimits): Promise<Server>;
  readonly peerFetch: PeerFetch;
  /** Where the log goes, if `node:fs` would block on it. */
  readonly logSink?: LogSink;
}
