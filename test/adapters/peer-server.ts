/** HTTP servers on 127.0.0.1 for the tests of the wire, by `node:http`, which all runtimes have. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export interface PeerServer {
  readonly url: string;
  /** Requests that arrived. */
  readonly count: () => number;
  /** Closes the port and breaks all connections. */
  readonly stop: () => Promise<void>;
}

export async function listen(server: Server): Promise<PeerServer> {
  const sockets = new Set<Socket>();
  let count = 0;
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("request", () => count++);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  let stopped: Promise<void> | null = null;
  return {
    url: `http://127.0.0.1:${port}`,
    count: () => count,
    stop: () =>
      stopped ??= new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        for (const socket of sockets) socket.destroy();
      }),
  };
}

export function serve(
  answer: (incoming: IncomingMessage, outgoing: ServerResponse) => void | Promise<void>,
): Promise<PeerServer> {
  return listen(createServer((incoming, outgoing) => void answer(incoming, outgoing)));
}

export async function bodyOf(incoming: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

/** Serves a `fetch` handler. */
export function serveFetch(
  handle: (request: Request) => Response | Promise<Response>,
): Promise<PeerServer> {
  return serve(async (incoming, outgoing) => {
    const body = await bodyOf(incoming);
    const request = new Request(`http://${incoming.headers.host}${incoming.url}`, {
      method: incoming.method ?? "GET",
      headers: incoming.headers as Record<string, string>,
      body,
    });
    const response = await handle(request);
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.end(new Uint8Array(await response.arrayBuffer()));
  });
}
