/** An app behind a real socket, for commands that run as processes of their own. */
import { once } from "node:events";
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Fixture } from "../http/fixture.ts";

export interface AppServer {
  url: string;
  close(): Promise<void>;
}

/** Serves the fixture's app on a free port. */
export async function serveApp({ app }: Fixture): Promise<AppServer> {
  const server = createServer((request, response) => {
    const chunks: Uint8Array[] = [];
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    request.on("end", () => void answer(request, response, chunks));
  });
  const served: AppServer = {
    url: "",
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  const answer = async (
    { method = "GET", url = "/", headers }: IncomingMessage,
    response: ServerResponse,
    chunks: readonly Uint8Array[],
  ): Promise<void> => {
    const texts = Object.entries(headers)
      .flatMap(([name, value]) => (typeof value === "string" ? [[name, value] as const] : []));
    const body = chunks.length === 0 ? {} : { body: Buffer.concat(chunks) };
    const init = { method, headers: Object.fromEntries(texts), ...body };
    const answered = await app.request(`http://localhost${url}`, init);
    response.writeHead(answered.status, Object.fromEntries(answered.headers));
    response.end(new Uint8Array(await answered.arrayBuffer()));
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  served.url = `http://127.0.0.1:${address.port}`;
  return served;
}
