#!/usr/bin/env -S deno run --allow-net --allow-read --allow-write --allow-env
/** Holdfast under Deno. */
import process from "node:process";
import { createUndiciFetch } from "../src/adapters/undici-fetch.ts";
import { boot } from "./boot.ts";
import type { Runtime } from "./open-node.ts";

/** The part of Deno's namespace that is used: its own types would hide Node's and Bun's. */
declare const Deno: {
  readonly version: { readonly deno: string };
  readonly stderr: { write(bytes: Uint8Array): Promise<number> };
  serve(
    options: {
      readonly hostname: string;
      readonly port: number;
      readonly signal: AbortSignal;
      readonly onListen: () => void;
    },
    handler: (request: Request) => Promise<Response>,
  ): { readonly finished: Promise<void>; shutdown(): Promise<void> };
};

/** See {@link Runtime}. */
export const runtime: Runtime = {
  name: `deno ${Deno.version.deno}`,
  peerFetch: createUndiciFetch().fetch,
  // `node:fs` blocks the event loop there for as long as standard error is full.
  logSink: (bytes) => Deno.stderr.write(bytes),
  serve: async ({ host, port }, handler) => {
    const abort = new AbortController();
    const server = Deno.serve(
      { hostname: host, port, signal: abort.signal, onListen: () => {} },
      (request) => handler(request),
    );
    return {
      close: async (timeoutMs) => {
        const timer = setTimeout(() => abort.abort(), timeoutMs);
        await server.shutdown();
        clearTimeout(timer);
      },
    };
  },
};

if (import.meta.main) await boot(runtime, process.argv.slice(2));
