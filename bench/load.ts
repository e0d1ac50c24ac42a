/**
 * A load generator: raw HTTP/1.1 over kept-alive connections, one request at a time on each, no pipelining. It does as
 * little as it can per request, because it shares the machine with what it measures.
 */
import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";

export { quantile } from "./workload.ts";

export interface LoadOptions {
  /** Base URLs; connections are dealt out to them in turn. */
  readonly urls: readonly string[];
  readonly connections: number;
  /** The bytes of the n-th request, see {@link requestBytes}. */
  readonly request: (n: number) => Uint8Array;
  /** Ends after this many requests, or after so many seconds; whichever comes first. */
  readonly requestsMax?: number;
  readonly secondsMax?: number;
  /** Hears of each answer; status 0 stands for a broken connection. */
  readonly onAnswer?: (n: number, status: number) => void;
}

export interface LoadResult {
  /** Requests answered with a status below 400. */
  readonly succeeded: number;
  readonly seconds: number;
  /** Answers by status; 0 stands for broken connections. */
  readonly statuses: Readonly<Record<number, number>>;
  /** Of those that succeeded, in milliseconds, ascending. */
  readonly latencies: Float64Array;
}

const RECONNECT_DELAY_MS = 20;
const HEAD_END = "\r\n\r\n";
const LAST_CHUNK = "0\r\n\r\n";

/** A request as it goes over the wire. */
export function requestBytes(
  method: "GET" | "PUT",
  url: string,
  path: string,
  body?: Uint8Array,
): Uint8Array {
  const length = body === undefined ? "" : `content-length: ${body.length}\r\n`;
  const head = `${method} ${path} HTTP/1.1\r\nhost: ${new URL(url).host}\r\n${length}\r\n`;
  return Buffer.concat([Buffer.from(head), body ?? new Uint8Array(0)]);
}

/** Sends requests until the number or the time is up, and waits for the answers under way. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { urls, connections, requestsMax = Infinity, secondsMax = Infinity } = options;
  const start = performance.now();
  const deadline = start + secondsMax * 1000;
  const statuses: Record<number, number> = {};
  const latencies: number[] = [];
  let sent = 0;
  const isOver = (): boolean => sent >= requestsMax || performance.now() >= deadline;
  const source: Source = {
    isOver,
    next: () => isOver() ? null : sent++,
    request: options.request,
    answered: (n, status, ms) => {
      options.onAnswer?.(n, status);
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status > 0 && status < 400) latencies.push(ms);
    },
  };
  await Promise.all(Array.from({ length: connections }, (_, at) => {
    const { hostname, port } = new URL(urls[at % urls.length] ?? "");
    return new Promise<void>((resolve) => {
      new Connection(hostname, Number(port), source, resolve).open();
    });
  }));
  return {
    succeeded: latencies.length,
    seconds: (performance.now() - start) / 1000,
    statuses,
    latencies: Float64Array.from(latencies).sort(),
  };
}

interface Source {
  readonly isOver: () => boolean;
  /** The next request's number, or null when it is over. */
  readonly next: () => number | null;
  readonly request: (n: number) => Uint8Array;
  readonly answered: (n: number, status: number, milliseconds: number) => void;
}

/** One request after the other; a broken connection is counted once and made again. */
class Connection {
  readonly #host: string;
  readonly #port: number;
  readonly #source: Source;
  readonly #done: () => void;
  #socket: Socket | null = null;
  #received: Buffer | null = null;
  #at = 0;
  #sentAt = 0;
  #isOver = false;

  constructor(host: string, port: number, source: Source, done: () => void) {
    this.#host = host;
    this.#port = port;
    this.#source = source;
    this.#done = done;
  }

  open(): void {
    const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
    this.#socket = socket;
    socket.on("connect", () => this.#send());
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", () => {});
    socket.on("close", () => this.#onClose());
  }

  #send(): void {
    const next = this.#source.next();
    if (next === null) {
      this.#isOver = true;
      this.#socket?.destroy();
      return;
    }
    const bytes = this.#source.request(next);
    this.#at = next;
    this.#sentAt = performance.now();
    this.#socket?.write(bytes);
  }

  #onData(chunk: Buffer): void {
    const received = this.#received === null ? chunk : Buffer.concat([this.#received, chunk]);
    if (!isWhole(received)) {
      this.#received = received;
      return;
    }
    this.#received = null;
    const status = Number(received.toString("latin1", 9, 12));
    this.#source.answered(this.#at, status, performance.now() - this.#sentAt);
    this.#send();
  }

  #onClose(): void {
    if (this.#isOver || this.#source.isOver()) return this.#done();
    this.#source.answered(this.#at, 0, 0);
    this.#received = null;
    setTimeout(() => this.open(), RECONNECT_DELAY_MS);
  }
}

function isWhole(received: Buffer): boolean {
  const headEnd = received.indexOf(HEAD_END);
  if (headEnd < 0) return false;
  const head = received.toString("latin1", 0, headEnd + 2);
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
  if (length !== undefined) return received.length >= headEnd + HEAD_END.length + Number(length);
  return received.toString("latin1", received.length - LAST_CHUNK.length) === LAST_CHUNK;
}
