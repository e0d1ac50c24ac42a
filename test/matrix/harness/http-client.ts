/** A plain HTTP client for tests: kept-alive connections, no retries, and paths that go out as they are written. */
import { Agent, type IncomingHttpHeaders, request as send } from "node:http";
import { Agent as TlsAgent, request as sendOverTls } from "node:https";

/** What nodes' certificates have to lead to, and what is shown to them. In PEM. */
export interface ClientTls {
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface RequestOptions {
  readonly method?: string;
  readonly body?: Uint8Array | string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: () => string;
  readonly json: () => unknown;
}

export class HttpClient {
  readonly #agent: Agent;
  readonly #tlsAgent: TlsAgent;

  constructor(connectionsMax = 256, tls: ClientTls | null = null) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: connectionsMax });
    this.#tlsAgent = new TlsAgent({ keepAlive: true, maxSockets: connectionsMax, ...tls });
  }

  /** Rejects with the system's error where no whole answer came, with `code` "ETIMEDOUT" after `timeoutMs`. */
  request(url: string, options: RequestOptions = {}): Promise<HttpAnswer> {
    const { method = "GET", body, headers, timeoutMs = 10_000 } = options;
    // Not through URL, which would tidy the path: bad encodings and dots are to arrive as they are.
    const parts = /^(http|https):\/\/([^:/]+)(?::(\d+))?(.*)$/.exec(url) ?? [];
    const [, scheme = "", host = "", port = "80", path = "/"] = parts;
    const isTls = scheme === "https";
    return new Promise((resolve, reject) => {
      const length = body === undefined
        ? {}
        : { "content-length": String(Buffer.byteLength(body)) };
      const request = (isTls ? sendOverTls : send)({
        host,
        port,
        path,
        method,
        agent: isTls ? this.#tlsAgent : this.#agent,
        headers: { ...length, ...headers },
      }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", (error) => fail(error));
        response.on("end", () => {
          clearTimeout(timer);
          const whole = Buffer.concat(chunks);
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: whole,
            text: () => whole.toString(),
            json: () => JSON.parse(whole.toString()),
          });
        });
      });
      const fail = (error: Error): void => {
        clearTimeout(timer);
        reject(error);
      };
      const timer = setTimeout(() => {
        request.destroy(
          Object.assign(new Error(`no answer in ${timeoutMs} ms`), { code: "ETIMEDOUT" }),
        );
      }, timeoutMs);
      request.on("error", fail);
      request.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
    this.#tlsAgent.destroy();
  }
}
