/** A real `node:http` server whose plain requests a test answers by hand, and clients that send what it says. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect, type Socket } from "node:net";
import type { PlainAnswer } from "../../runtimes/plain-answer.ts";
import {
  answerPlain,
  type PlainDoor,
  type PlainIncoming,
  type PlainLimits,
  type PlainListener,
} from "../../runtimes/plain-requests.ts";
import { until } from "../replica/cluster.ts";

/** Plain requests are Node's alone: the other runtimes' nodes stand on servers of their own. */
export const isNode: boolean = !("bun" in process.versions) && !("deno" in process.versions);

export const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`;
export const put = (path: string, body: string): string =>
  `PUT ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

export const patient: PlainLimits = { headersTimeoutMs: 60_000, idleTimeoutMs: 60_000 };

export class Client {
  readonly socket: Socket;
  said = "";
  closed = false;

  constructor(port: number) {
    this.socket = connect({ host: "127.0.0.1", port, noDelay: true });
    this.socket.setEncoding("latin1").on("error", () => {});
    this.socket.on("close", () => this.closed = true);
  }

  /** Hears what is answered from now on. */
  listen(): this {
    this.socket.on("data", (text: string) => this.said += text);
    return this;
  }

  async bodies(count: number): Promise<string[]> {
    const bodies = (): string[] => this.said.split(/HTTP\/1\.1 \d{3} [^]*?\r\n\r\n/).slice(1);
    await until(`there are ${count} answers`, () => bodies().length >= count);
    return bodies();
  }

  async close(): Promise<void> {
    await until("the server closes the connection", () => this.closed);
  }
}

interface Taken {
  readonly incoming: PlainIncoming;
  readonly outgoing: PlainAnswer;
}

export class TestServer implements AsyncDisposable {
  /** The plain requests. */
  readonly taken: Taken[] = [];
  /** How many connections `node:http` was given. */
  handedOver = 0;
  readonly door: PlainDoor;
  readonly #server: Server = createServer((_, outgoing) => outgoing.end("node:http"));
  readonly #clients: Client[] = [];

  constructor(limits: PlainLimits, listener: PlainListener | null = null) {
    this.#server.on("connection", () => this.handedOver++);
    this.door = answerPlain(this.#server, (incoming, outgoing) => {
      this.taken.push({ incoming, outgoing });
      return listener === null ? Promise.resolve() : listener(incoming, outgoing);
    }, limits);
  }

  async client(): Promise<Client> {
    if (!this.#server.listening) await once(this.#server.listen(0, "127.0.0.1"), "listening");
    const address = this.#server.address();
    assert.ok(address !== null && typeof address === "object");
    const client = new Client(address.port);
    this.#clients.push(client);
    return client;
  }

  async request(nth: number): Promise<Taken> {
    await until(`request ${nth} is there`, () => this.taken.length > nth);
    const taken = this.taken[nth];
    assert.ok(taken);
    return taken;
  }

  async answer(nth: number, body: string): Promise<void> {
    const { outgoing } = await this.request(nth);
    outgoing.writeHead(200);
    outgoing.end(body);
  }

  urls(): string[] {
    return this.taken.map(({ incoming }) => incoming.url);
  }

  /** Sends `pieces` on a connection whose first request is being answered, each read before the next. */
  async hold(client: Client, ...pieces: string[]): Promise<void> {
    const { socket } = (await this.request(this.taken.length - 1)).incoming;
    for (const piece of pieces) {
      const read = socket.bytesRead + piece.length;
      client.socket.write(piece, "latin1");
      await until(`it is read: ${piece}`, () => socket.bytesRead === read);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.#clients) socket.destroy();
    for (const { incoming } of this.taken) incoming.socket.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
