/**
 * Load that doesn't wait: puts are sent when they are due, whether or not those before them were answered, as many
 * clients that know nothing of each other would. Raw HTTP/1.1 on connections that are there from the start, one request
 * at a time on each.
 */
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { root, run } from "../test/matrix/harness/node-process.ts";
import { keyOf, quantile, valueOf } from "./workload.ts";

export interface OpenLoad {
  /** Base URLs; connections are dealt out to them in turn. */
  readonly urls: readonly string[];
  /** Puts that fall due in a second; null sends the next on each connection when its last is answered. */
  readonly perSecond: number | null;
  readonly seconds: number;
  /** A put that is due while all of them wait for an answer is not sent, and counted. */
  readonly connections: number;
  /** Different keys; no key has two puts under way. */
  readonly keys: number;
  readonly valueBytes: number;
  /** Distinguishes this load's values. */
  readonly stamp: string;
}

/** Milliseconds at quantiles of answers of one kind. */
export interface Latencies {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface OpenLoadResult {
  readonly seconds: number;
  readonly sent: number;
  /** Due, and every connection was waiting. */
  readonly unsent: number;
  /** Answers by status; 0 stands for connections that broke or were refused. */
  readonly statuses: Readonly<Record<number, number>>;
  /** Acknowledged in each whole second. */
  readonly acknowledged: readonly number[];
  readonly accepted: Latencies;
  readonly refused: Latencies;
  /** For each key that was put, the number of the last put that was acknowledged. */
  readonly last: ReadonlyMap<number, number>;
  /** Answers that are neither an acknowledgement nor 429, the first few of them. */
  readonly odd: readonly string[];
}

const TICK_MS = 2;
const RECONNECT_MS = 20;
/** Connections that are being made at a time: more than a server's backlog holds would be dropped. */
const CONNECTING = 128;
const IDLE_KEPT = 1024;
const ODD_MAX = 5;
/** How long answers under way are waited for at the end. */
const DRAIN_MS = 10_000;
/** How long a child may take on top of its load. */
const CHILD_GRACE_MS = 60_000;
const HEAD_END = "\r\n\r\n";

/** Sends the load from a process of its own, on this processor where one is told. */
export async function openLoadInChild(
  load: OpenLoad,
  processor: number | null,
): Promise<OpenLoadResult> {
  const command = join(root, "node_modules/.bin/node");
  const child = [command, join(root, "bench/open-loop-child.ts"), JSON.stringify(load)] as const;
  const timeoutMs = load.seconds * 1000 + CHILD_GRACE_MS;
  const { status, stdout, stderr } = await run(
    processor === null ? [...child] : ["taskset", "-c", String(processor), ...child],
    { timeoutMs },
  );
  if (status !== 0) throw new Error(`the load generator ended with ${status}: ${stderr}`);
  const { last, ...result } = JSON.parse(stdout) as OpenLoadReport;
  return { ...result, last: new Map(last) };
}

/** A result as JSON can say it. */
export interface OpenLoadReport extends Omit<OpenLoadResult, "last"> {
  readonly last: readonly (readonly [key: number, n: number])[];
}

/** Sends the load, and waits for the answers under way. */
export async function runOpenLoad(load: OpenLoad): Promise<OpenLoadResult> {
  return await new Generator(load).run();
}

/** The value of put `n` of a load. */
export function putValue(load: Pick<OpenLoad, "stamp" | "valueBytes">, n: number): string {
  return valueOf(n, load.stamp, load.valueBytes);
}

class Generator {
  readonly #load: OpenLoad;
  readonly #hosts: readonly { readonly host: string; readonly port: number }[];
  readonly #idle: Connection[] = [];
  readonly #busyKeys = new Set<number>();
  readonly #last = new Map<number, number>();
  readonly #statuses: Record<number, number> = {};
  readonly #acknowledged: number[] = [];
  readonly #acceptedMs: number[] = [];
  readonly #refusedMs: number[] = [];
  readonly #odd: string[] = [];
  readonly #connections = new Set<Connection>();
  #idleHead = 0;
  #underWay = 0;
  #at = 0;
  #sent = 0;
  #due = 0;
  #unsent = 0;
  #start = 0;
  #isOver = false;

  constructor(load: OpenLoad) {
    this.#load = load;
    this.#hosts = load.urls.map((url) => {
      const { hostname, port } = new URL(url);
      return { host: hostname, port: Number(port) };
    });
  }

  async run(): Promise<OpenLoadResult> {
    const { perSecond, seconds, connections } = this.#load;
    await this.#connect(connections);
    this.#start = performance.now();
    if (perSecond === null) {
      for (let n = 0; n < connections; n++) this.#sendDue();
    }
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        const passed = (performance.now() - this.#start) / 1000;
        if (passed >= seconds) {
          clearInterval(timer);
          resolve();
        } else if (perSecond !== null) {
          for (const due = passed * perSecond; this.#due < due; this.#due++) this.#sendDue();
        }
      }, TICK_MS);
    });
    this.#isOver = true;
    const passed = (performance.now() - this.#start) / 1000;
    await this.#drain();
    for (const connection of this.#connections) connection.end();
    return {
      seconds: passed,
      sent: this.#sent,
      unsent: this.#unsent,
      statuses: this.#statuses,
      acknowledged: Array.from(
        { length: Math.floor(passed) },
        (_, second) => this.#acknowledged[second] ?? 0,
      ),
      accepted: latenciesOf(this.#acceptedMs),
      refused: latenciesOf(this.#refusedMs),
      last: this.#last,
      odd: this.#odd,
    };
  }

  async #drain(): Promise<void> {
    const deadline = performance.now() + DRAIN_MS;
    while (this.#underWay > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
    if (this.#underWay > 0) this.#count(0, this.#underWay);
  }

  async #connect(count: number): Promise<void> {
    let opened = 0;
    const openNext = async (): Promise<void> => {
      while (opened < count) {
        const { host = "", port = 0 } = this.#hosts[opened++ % this.#hosts.length] ?? {};
        const connection: Connection = new Connection(host, port, (n, status, ms, answer) => {
          this.#answered(connection, n, status, ms, answer);
        });
        await connection.open();
        this.#connections.add(connection);
        this.#idle.push(connection);
      }
    };
    await Promise.all(Array.from({ length: CONNECTING }, openNext));
  }

  #sendDue(): void {
    // The one that has been idle for longest: all are in use.
    const connection = this.#idle[this.#idleHead];
    if (connection === undefined) {
      this.#unsent++;
      return;
    }
    this.#idleHead++;
    if (this.#idleHead === IDLE_KEPT) {
      this.#idle.splice(0, this.#idleHead);
      this.#idleHead = 0;
    }
    this.#send(connection);
  }

  #send(connection: Connection): void {
    const { keys, valueBytes } = this.#load;
    while (this.#busyKeys.has(this.#at % keys)) this.#at++;
    const n = this.#at++;
    const key = n % keys;
    this.#busyKeys.add(key);
    this.#underWay++;
    this.#sent++;
    const value = putValue(this.#load, n);
    connection.send(
      n,
      `PUT /v1/kv/${
        keyOf(key)
      } HTTP/1.1\r\nhost: x\r\ncontent-length: ${valueBytes}\r\n\r\n${value}`,
    );
  }

  #answered(connection: Connection, n: number, status: number, ms: number, answer: string): void {
    const key = n % this.#load.keys;
    this.#underWay--;
    this.#busyKeys.delete(key);
    this.#count(status, 1);
    if (status === 200 || status === 201) {
      this.#acceptedMs.push(ms);
      this.#last.set(key, n);
      const second = Math.floor((performance.now() - this.#start) / 1000);
      this.#acknowledged[second] = (this.#acknowledged[second] ?? 0) + 1;
    } else if (status === 429) this.#refusedMs.push(ms);
    else if (this.#odd.length < ODD_MAX) this.#odd.push(answer.slice(0, 600));
    if (this.#isOver) return;
    if (this.#load.perSecond === null) this.#send(connection);
    else this.#idle.push(connection);
  }

  #count(status: number, times: number): void {
    this.#statuses[status] = (this.#statuses[status] ?? 0) + times;
  }
}

type Answered = (n: number, status: number, ms: number, answer: string) => void;

class Connection {
  readonly #host: string;
  readonly #port: number;
  readonly #answered: Answered;
  #socket: Socket | null = null;
  #n = -1;
  #sentAt = 0;
  #received: Buffer | null = null;
  #ended = false;

  constructor(host: string, port: number, answered: Answered) {
    this.#host = host;
    this.#port = port;
    this.#answered = answered;
  }

  open(): Promise<void> {
    return new Promise((resolve) => {
      const socket = this.#socket = this.#connect();
      socket.once("connect", resolve).once("close", () => resolve());
    });
  }

  send(n: number, request: string): void {
    this.#n = n;
    this.#sentAt = performance.now();
    (this.#socket ??= this.#connect()).write(request);
  }

  end(): void {
    this.#ended = true;
    this.#socket?.destroy();
  }

  #connect(): Socket {
    const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", (error) => this.#received = Buffer.from(String(error)));
    socket.on("close", () => {
      this.#socket = null;
      const told = this.#received?.toString("latin1") ?? "closed without an answer";
      this.#received = null;
      if (this.#ended || this.#n < 0) return;
      // Whoever is refused a connection waits a little.
      setTimeout(() => this.#answer(0, told), RECONNECT_MS);
    });
    return socket;
  }

  #onData(chunk: Buffer): void {
    const received = this.#received === null ? chunk : Buffer.concat([this.#received, chunk]);
    const headEnd = received.indexOf(HEAD_END);
    const head = received.toString("latin1", 0, Math.max(0, headEnd + 2));
    const length = Number(/\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1] ?? NaN);
    if (headEnd < 0 || !(received.length >= headEnd + HEAD_END.length + length)) {
      this.#received = received;
      return;
    }
    this.#received = null;
    const status = Number(head.slice(9, 12));
    this.#answer(status, status < 400 ? "" : received.toString("latin1"));
  }

  #answer(status: number, answer: string): void {
    const n = this.#n;
    this.#n = -1;
    this.#answered(n, status, performance.now() - this.#sentAt, answer);
  }
}

function latenciesOf(ms: readonly number[]): Latencies {
  const sorted = Float64Array.from(ms).sort();
  return {
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    max: sorted.at(-1) ?? NaN,
  };
}
