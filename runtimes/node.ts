#!/usr/bin/env node
/** Holdfast under Node. */
import { createAdaptorServer } from "@hono/node-server";
import process from "node:process";
import { createUndiciFetch } from "../src/adapters/undici-fetch.ts";
import { boot } from "./boot.ts";
import type { Runtime } from "./open-node.ts";

/** See {@link Runtime}. */
export const runtime: Runtime = {
  name: `node ${process.versions.node}`,
  peerFetch: createUndiciFetch().fetch,
  serve: async ({ host, port }, handler, limits) => {
    const server = createAdaptorServer({
      fetch: (request, { incoming }) => handler(request, { incoming: { url: incoming.url ?? "" } }),
      serverOptions: {
        maxHeaderSize: limits.headerBytesMax,
        headersTimeout: limits.headersTimeoutMs,
        requestTimeout: limits.arrivalTimeoutMs,
        keepAliveTimeout: limits.idleTimeoutMs,
        connectionsCheckingInterval: limits.headersTimeoutMs,
        noDelay: true,
      },
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, resolve);
    });
    return {
      close: (timeoutMs) =>
        new Promise((resolve) => {
          server.close(() => resolve());
          if (!("closeAllConnections" in server)) return;
          server.closeIdleConnections();
          setTimeout(() => server.closeAllConnections(), timeoutMs).unref();
        }),
    };
  },
};

if (import.meta.main) await boot(runtime, process.argv.slice(2));
