#!/usr/bin/env bun
/** Holdfast under Bun. */
import process from "node:process";
import { boot } from "./boot.ts";
import type { Runtime } from "./open-node.ts";

/** See {@link Runtime}. */
export const runtime: Runtime = {
  name: `bun ${Bun.version}`,
  // Bun would decompress a body that nobody has asked to be compressed.
  peerFetch: (url, init) => fetch(url, { ...init, decompress: false }),
  serve: async ({ host, port }, handler, limits) => {
    const server = Bun.serve({
      hostname: host,
      port,
      idleTimeout: Math.ceil(limits.idleTimeoutMs / 1000),
      maxRequestBodySize: limits.bodyBytesMax,
      development: false,
      fetch: (request) => handler(request),
    });
    return {
      close: async (timeoutMs) => {
        const timer = setTimeout(() => void server.stop(true), timeoutMs);
        await server.stop(false);
        clearTimeout(timer);
      },
    };
  },
};

if (import.meta.main) await boot(runtime, process.argv.slice(2));
