/** A GET whose first bytes are sent long before the rest, over a connection that has been used before. */
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";

/** Far more than the request timeout of a node. */
const ANSWER_TIMEOUT_MS = 10_000;

export interface SplitAnswer {
  readonly status: number;
  readonly body: string;
}

export class SplitRequest implements Disposable {
  readonly #socket: Socket;
  readonly #request: string;
  #received = "";
  #settled: () => void = () => {};

  private constructor(socket: Socket, request: string) {
    this.#socket = socket;
    this.#request = request;
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      this.#received += text;
      if (this.#answer() !== null) this.#settled();
    });
    socket.on("error", () => {});
    socket.on("close", () => this.#settled());
  }

  /** Connects, and sends the whole request once, to its answer. */
  static async open(url: string, path: string): Promise<SplitRequest> {
    const { hostname, port, host } = new URL(url);
    const socket = await new Promise<Socket>((resolve, reject) => {
      const opened = connect({ host: hostname, port: Number(port), noDelay: true });
      opened.once("error", reject);
      opened.once("connect", () => resolve(opened));
    });
    const request = new SplitRequest(socket, `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
    request.begin();
    await request.end();
    return request;
  }

  /** Sends the first half, which makes the socket readable to the server. */
  begin(): void {
    this.#received = "";
    this.#socket.write(this.#request.slice(0, 3));
  }

  /** Sends the rest and resolves with the answer, which every request has in a bounded time. */
  async end(): Promise<SplitAnswer> {
    this.#socket.write(this.#request.slice(3));
    const timer = setTimeout(() => this.#socket.destroy(), ANSWER_TIMEOUT_MS);
    if (!this.#socket.destroyed) await new Promise<void>((resolve) => this.#settled = resolve);
    clearTimeout(timer);
    const answer = this.#answer();
    assert.ok(answer !== null, "a request was not answered");
    return answer;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #answer(): SplitAnswer | null {
    const headEnd = this.#received.indexOf("\r\n\r\n");
    if (headEnd < 0) return null;
    const head = this.#received.slice(0, headEnd + 2);
    const length = Number(/\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1] ?? 0);
    const body = this.#received.slice(headEnd + 4);
    return body.length < length ? null : { status: Number(head.slice(9, 12)), body };
  }
}
