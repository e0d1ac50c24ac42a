/** A gRPC client of one etcd node over `node:http2`, for filling and reading back; what is measured goes by h2load. */
import { type ClientHttp2Session, connect } from "node:http2";
import { type EtcdAnswer, etcdPaths, putFrame, rangeFrame, readAnswer } from "./etcd-wire.ts";

/** What may be under way: by default Node ends streams at 10, and 256 puts of 64 KiB are 16. */
const SESSION_MEGABYTES = 256;

export class EtcdClient {
  readonly #url: string;
  #session: ClientHttp2Session | null = null;

  constructor(url: string) {
    this.#url = url;
  }

  async put(key: string, value: string, timeoutMs?: number): Promise<EtcdAnswer> {
    return await this.#call(etcdPaths.put, putFrame(key, value), timeoutMs);
  }

  async get(key: string, timeoutMs?: number): Promise<EtcdAnswer> {
    return await this.#call(etcdPaths.range, rangeFrame(key), timeoutMs);
  }

  close(): void {
    this.#session?.destroy();
    this.#session = null;
  }

  /** Rejects where no whole answer came in time, or gRPC's status says that it failed. */
  #call(path: string, frame: Uint8Array, timeoutMs = 10_000): Promise<EtcdAnswer> {
    return new Promise((resolve, reject) => {
      const stream = this.#open().request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        "te": "trailers",
      });
      const chunks: Buffer[] = [];
      let status: unknown;
      const timer = setTimeout(() => {
        reject(new Error(`etcd gave no answer in ${timeoutMs} ms`));
        stream.close();
      }, timeoutMs);
      // An error comes without a body, and then its status is in the headers.
      stream.on("response", (headers) => status = headers["grpc-status"] ?? status);
      stream.on("trailers", (headers) => status = headers["grpc-status"] ?? status);
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("error", reject);
      stream.on("close", () => {
        clearTimeout(timer);
        if (status !== "0") return reject(new Error(`etcd answered with status ${String(status)}`));
        try {
          resolve(readAnswer(Buffer.concat(chunks)));
        } catch (error) {
          reject(error);
        }
      });
      stream.end(frame);
    });
  }

  #open(): ClientHttp2Session {
    if (this.#session !== null && !this.#session.closed && !this.#session.destroyed) {
      return this.#session;
    }
    const session = connect(this.#url, { maxSessionMemory: SESSION_MEGABYTES });
    // Streams tell of it, each to its caller.
    session.on("error", () => {});
    this.#session = session;
    return session;
  }
}
