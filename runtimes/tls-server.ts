/**
 * HTTP/1.1 over TLS, for all runtimes, with certificates that can be replaced while it serves.
 *
 * Node's `https` takes new ones for the connections to come, and Deno's does. Bun's doesn't (1.4), nor does `Bun.serve`,
 * so there each connection is accepted as it is and gets TLS here, with the credentials of that moment.
 */
import { getRequestListener } from "@hono/node-server";
import { createServer, type RequestListener, type Server as HttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer, type Server as TcpServer, type Socket } from "node:net";
import { createSecureContext, type SecureContextOptions, TLSSocket } from "node:tls";
import type { ServerCredentials } from "../src/adapters/tls-files.ts";
import type { ServerLimits } from "../src/config.ts";
import type { ListenAddress } from "../src/config/options.ts";
import type { Handler } from "./door.ts";
import type { TlsServer } from "./runtime.ts";

/** How a runtime does it. */
export interface TlsStyle {
  /** Who does TLS: the runtime's `https` server, or each connection for itself. */
  readonly by: "server" | "connection";
  /** Whether requests and answers are the adapter's own: that pays under Node alone. */
  readonly overrideGlobalObjects: boolean;
}

/** See `Runtime.serveTls`. */
export async function serveTls(
  { by, overrideGlobalObjects }: TlsStyle,
  { host, port }: ListenAddress,
  handler: Handler,
  limits: ServerLimits,
  credentials: ServerCredentials,
): Promise<TlsServer> {
  const listener = getRequestListener(
    (request, { incoming }) => handler(request, { incoming: { url: incoming.url ?? "" } }),
    { overrideGlobalObjects },
  );
  const listen: RequestListener = (incoming, outgoing) => void listener(incoming, outgoing);
  const front = by === "server"
    ? throughHttps(listen, limits, credentials)
    : throughSockets(listen, limits, credentials);
  const sockets = new Set<Socket>();
  front.server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    front.server.once("error", reject);
    front.server.listen({ port, host, backlog: limits.backlogMax }, resolve);
  });
  return {
    replace: front.replace,
    close: (timeoutMs) =>
      new Promise((resolve) => {
        front.server.close(() => resolve());
        front.http.closeIdleConnections();
        setTimeout(() => {
          for (const socket of sockets) socket.destroy();
        }, timeoutMs);
      }),
  };
}

interface Front {
  /** What listens. */
  readonly server: TcpServer;
  /** What speaks HTTP. */
  readonly http: Pick<HttpServer, "closeIdleConnections">;
  readonly replace: (credentials: ServerCredentials) => void;
}

function httpOptions(limits: ServerLimits) {
  return {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.arrivalTimeoutMs,
    keepAliveTimeout: limits.idleTimeoutMs,
    connectionsCheckingInterval: limits.headersTimeoutMs,
    noDelay: true,
  };
}

function contextOf({ cert, key, clientCa }: ServerCredentials): SecureContextOptions {
  return { cert, key, minVersion: "TLSv1.2", ...(clientCa === null ? {} : { ca: clientCa }) };
}

/** Whoever has no certificate that leads to the roots gets no further than the handshake. */
function demandOf({ clientCa }: ServerCredentials) {
  return { requestCert: clientCa !== null, rejectUnauthorized: clientCa !== null };
}

function throughHttps(
  listen: RequestListener,
  limits: ServerLimits,
  credentials: ServerCredentials,
): Front {
  const server = createHttpsServer({
    ...httpOptions(limits),
    ...contextOf(credentials),
    ...demandOf(credentials),
    handshakeTimeout: limits.headersTimeoutMs,
  }, listen);
  // A client that fails at the handshake is its own affair.
  server.on("tlsClientError", (_, socket) => socket.destroy());
  return { server, http: server, replace: (next) => server.setSecureContext(contextOf(next)) };
}

function throughSockets(
  listen: RequestListener,
  limits: ServerLimits,
  credentials: ServerCredentials,
): Front {
  const http = createServer(httpOptions(limits), listen);
  const bounded = boundHeads(http, limits);
  let secureContext = createSecureContext(contextOf(credentials));
  const demand = demandOf(credentials);
  const server = createTcpServer({ noDelay: true }, (raw) => {
    const socket = new TLSSocket(raw, { isServer: true, secureContext, ...demand });
    const end = (): void => void socket.destroy();
    const handshake = setTimeout(() => raw.destroy(), limits.headersTimeoutMs);
    raw.on("error", end).once("close", () => clearTimeout(handshake));
    socket.on("error", end);
    socket.once("secure", () => {
      clearTimeout(handshake);
      if (demand.requestCert && !socket.authorized) return end();
      // Longer than any answer is silent: watchers hear something every few seconds.
      raw.setTimeout(limits.idleTimeoutMs, end);
      http.emit("connection", socket);
      bounded(socket);
    });
  });
  return {
    server,
    http,
    replace: (next) => {
      secureContext = createSecureContext(contextOf(next));
    },
  };
}

/**
 * Ends a connection on which the head of a request takes too long: Bun's server does not where the connection was not
 * accepted by itself. What it returns wants each such connection, once the server has it: a head that came in one piece
 * is known to have come then, and takes no timer.
 */
function boundHeads(
  http: HttpServer,
  { headersTimeoutMs }: ServerLimits,
): (socket: Socket) => void {
  const answering = new Map<Socket, number>();
  const begun = new Map<Socket, ReturnType<typeof setTimeout>>();
  const settle = (socket: Socket): void => {
    clearTimeout(begun.get(socket));
    begun.delete(socket);
  };
  http.on("request", ({ socket }, outgoing) => {
    settle(socket);
    answering.set(socket, (answering.get(socket) ?? 0) + 1);
    outgoing.once("close", () => {
      const left = (answering.get(socket) ?? 1) - 1;
      if (left > 0) answering.set(socket, left);
      else answering.delete(socket);
    });
  });
  return (socket) => {
    socket.on("data", () => {
      if (answering.has(socket) || begun.has(socket)) return;
      begun.set(socket, setTimeout(() => void socket.destroy(), headersTimeoutMs));
    });
    socket.once("close", () => {
      settle(socket);
      answering.delete(socket);
    });
  };
}
