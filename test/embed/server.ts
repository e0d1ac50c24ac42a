/** A program's own server, as each runtime has it. */
import { serve as serveNode } from "@hono/node-server";
import type { Server as NodeServer } from "node:http";

/** What is served: an app's `fetch`, which a runtime gives a second argument of its own. */
export type Fetch = (request: Request, environment?: object) => Response | Promise<Response>;

interface Globals {
  readonly Bun?: {
    serve(
      options: {
        readonly hostname: string;
        readonly port: number;
        readonly idleTimeout: number;
        readonly fetch: Fetch;
      },
    ): { stop(closeActiveConnections: boolean): Promise<void> };
  };
  readonly Deno?: {
    serve(
      options: {
        readonly hostname: string;
        readonly port: number;
        readonly signal: AbortSignal;
        readonly onListen: () => void;
      },
      handler: Fetch,
    ): { readonly finished: Promise<void> };
  };
}

/** Serves on 127.0.0.1. Returns what breaks all connections and closes the port. */
export async function serve(port: number, fetch: Fetch): Promise<() => Promise<void>> {
  const { Bun, Deno } = globalThis as Globals;
  const hostname = "127.0.0.1";
  if (Bun !== undefined) {
    const server = Bun.serve({ hostname, port, idleTimeout: 60, fetch });
    return () => server.stop(true);
  }
  if (Deno !== undefined) {
    const end = new AbortController();
    const options = { hostname, port, signal: end.signal, onListen: () => {} };
    const server = Deno.serve(options, fetch);
    return async () => {
      end.abort();
      await server.finished;
    };
  }
  return await new Promise((resolve) => {
    const server = serveNode({ fetch, hostname, port }, () => resolve(close)) as NodeServer;
    const close = async (): Promise<void> => {
      const closed = new Promise<void>((done) => server.close(() => done()));
      server.closeAllConnections();
      await closed;
    };
  });
}
