#!/usr/bin/env bun
/** Holdfast under Bun. */
import process from "node:process";
import { boot } from "./boot.ts";
import { keyRoutes } from "./key-routes.ts";
import type { Runtime } from "./open-node.ts";
import { serveTls } from "./tls-server.ts";

/** See {@link Runtime}. */
export const runtime: Runtime = {
  name: `bun ${Bun.version}`,
  // Bun would decompress a body that nobody has asked to be compressed.
  peerFetch: (url, init) => fetch(url, { ...init, decompress: false }),
  peerFetchWith: ({ ca, cert, key }) => {
    const tls = {
      ...(ca === null ? {} : { ca }),
      ...(cert === null || key === null ? {} : { cert, key }),
    };
    // What is idle for long enough closes by itself.
    const retire = (): void => {};
    return { fetch: (url, init) => fetch(url, { ...init, decompress: false, tls }), retire };
  },
  // `Bun.serve` keeps the certificate that it began with (`reload` passes over `tls`), and closes what is idle when
  // another takes its place.
  serveTls: (...listening) =>
    serveTls({ by: "connection", overrideGlobalObjects: false }, ...listening),
  serve: async ({ host, port }, handler, limits) => {
    const server = Bun.serve({
      hostname: host,
      port,
      idleTimeout: Math.ceil(limits.idleTimeoutMs / 1000),
      maxRequestBodySize: limits.bodyBytesMax,
      development: false,
      routes: keyRoutes(handler),
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
