/** A client's `fetch` with roots, or a certificate, of its own: how that is said differs between runtimes. */
import type { ClientCredentials } from "../src/adapters/tls-files.ts";
import { connectOptions } from "../src/adapters/undici-fetch.ts";
import { thisRuntime } from "../src/cli/node.ts";
import type { ClientFetch } from "../src/client/mod.ts";

/**
 * For `connect({ fetch })`, where nodes' certificates lead to other roots than those that the runtime knows, or nodes ask
 * for one. All in PEM.
 *
 * @example
 * ```ts ignore
 * import { readFileSync } from "node:fs";
 * import { tlsFetch } from "holdfast";
 * import { connect } from "holdfast/client";
 *
 * const ca = readFileSync("ca.pem", "utf8");
 * const client = connect({ endpoints: ["https://10.0.0.1:4001"], fetch: tlsFetch({ ca }) });
 * ```
 */
export function tlsFetch(
  { ca = null, cert = null, key = null }: Partial<ClientCredentials>,
): ClientFetch {
  let made: Promise<ClientFetch> | null = null;
  return async (url, init) => await (await (made ??= make({ ca, cert, key })))(url, init);
}

/** What is loaded for it is loaded with the first request. */
async function make(credentials: ClientCredentials): Promise<ClientFetch> {
  const tls = connectOptions(credentials);
  if (thisRuntime === "bun") return (url, init) => fetch(url, { ...init, tls });
  const { Agent, fetch: send } = await import("undici");
  const dispatcher = new Agent({ connect: tls });
  return async (url, init) => {
    // Of one standard, in two declarations.
    const response: unknown = await send(url, { ...init as object, dispatcher });
    return response as Response;
  };
}
