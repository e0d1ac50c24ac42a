#!/usr/bin/env node
/** Holdfast under Node. */
import { getRequestListener } from "@hono/node-server";
import { createServer } from "node:http";
import process from "node:process";
import { createUndiciFetch } from "../src/adapters/undici-fetch.ts";
import { boot } from "./boot.ts";
import type { Runtime } from "./open-node.ts";
import { answerPlain, type PlainListener } from "./plain-requests.ts";
import { serveTls } from "./tls-server.ts";
import { undiciPeerFetch } from "./undici-peers.ts";

/** See {@link Runtime}. */
export const runtime: Runtime = {
  name: `node ${process.versions.node}`,
  peerFetch: createUndiciFetch().fetch,
  peerFetchWith: undiciPeerFetch,
  serveTls: (...listening) => serveTls({ by: "server", overrideGlobalObjects: true }, ...listening),
  serve: async ({ host, port }, handler, limits) => {
    const listener = getRequestListener((request, { incoming }) =>
      handler(request, { incoming: { url: incoming.url ?? "" } })
    );
    const server = createServer({
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.arrivalTimeoutMs,
      keepAliveTimeout: limits.idleTimeoutMs,
      connectionsCheckingInterval: limits.headersTimeoutMs,
      noDelay: true,
    }, (incoming, outgoing) => void listener(incoming, outgoing));
    // The listener of @hono/node-server 2.1.8 asks a request for method, url, headers, rawHeaders, socket.encrypted,
    // errored, readableEnded and, before it would read a stream, rawBody; an answer for writeHead, flushHeaders, write,
    // end, destroy, on, once and off (close, error, drain), headersSent, writable, writableFinished and destroyed.
    // It has a way without all else that it looks for (_contentLength, complete, stream): see plain-adapter.test.ts.
    const door = answerPlain(server, listener as unknown as PlainListener, limits);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port, host, backlog: limits.backlogMax }, resolve);
    });
    return {
      close: (timeoutMs) =>
        new Promise((resolve) => {
          server.close(() => resolve());
          server.closeIdleConnections();
          door.close();
          setTimeout(() => {
            server.closeAllConnections();
            door.destroy();
          }, timeoutMs).unref();
        }),
    };
  },
};

if (import.meta.main) await boot(runtime, process.argv.slice(2));
