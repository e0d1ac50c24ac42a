#!/usr/bin/env -S deno run --allow-net --allow-read --allow-write --allow-env --allow-sys
/** Holdfast under Deno. */
import process from "node:process";
import { createUndiciFetch } from "../src/adapters/undici-fetch.ts";
import { boot } from "./boot.ts";
import { keepListening } from "./keep-listening.ts";
import { createDenoNames } from "./deno-names.ts";
import type { Runtime } from "./open-node.ts";
import { serveTls } from "./tls-server.ts";
import { undiciPeerFetch } from "./undici-peers.ts";

/** The part of Deno's namespace that is used: its own types would hide Node's and Bun's. */
declare const Deno: {
  readonly version: { readonly deno: string };
  readonly stderr: { write(bytes: Uint8Array): Promise<number> };
  serve(
    options: {
      readonly hostname: string;
      readonly port: number;
      readonly tcpBacklog: number;
      readonly onListen: () => void;
    },
    handler: (request: Request) => Promise<Response>,
  ): { readonly finished: Promise<void>; shutdown(): Promise<void> };
};

/** See {@link Runtime}. */
export const runtime: Runtime = {
  name: `deno ${Deno.version.deno}`,
  peerFetch: createUndiciFetch().fetch,
  names: createDenoNames,
  peerFetchWith: undiciPeerFetch,
  // `Deno.serve` keeps the certificate that it began with, and asks clients for none.
  serveTls: (...listening) =>
    serveTls({ by: "server", overrideGlobalObjects: false }, ...listening),
  // `node:fs` blocks the event loop there for as long as standard error is full.
  logSink: (bytes) => Deno.stderr.write(bytes),
  serve: async ({ host, port }, handler, { backlogMax }) => {
    const server = keepListening(() =>
      Deno.serve(
        { hostname: host, port, tcpBacklog: backlogMax, onListen: () => {} },
        (request) => handler(request),
      )
    );
    return {
      close: async (timeoutMs) => {
        server.stop();
        // What is still open then ends with the process: to abort a server that shuts down throws where none can catch.
        let timer: ReturnType<typeof setTimeout> | undefined;
        const late = new Promise<void>((resolve) => {
          timer = setTimeout(resolve, timeoutMs);
        });
        await Promise.race([server.current().shutdown(), late]);
        clearTimeout(timer);
      },
    };
  },
};

if (import.meta.main) await boot(runtime, process.argv.slice(2));
