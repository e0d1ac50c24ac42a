/** Peers over TLS, for the runtimes that ask them through undici. */
import type { ClientCredentials } from "../src/adapters/tls-files.ts";
import { createUndiciFetch } from "../src/adapters/undici-fetch.ts";
import type { TlsPeerFetch } from "./runtime.ts";

/** See `Runtime.peerFetchWith`. */
export function undiciPeerFetch(credentials: ClientCredentials): TlsPeerFetch {
  const { fetch, retire } = createUndiciFetch(credentials);
  return { fetch, retire: () => void retire() };
}
