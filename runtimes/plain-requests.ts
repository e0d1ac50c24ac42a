/**
 * A short way through Node's server for plain requests: with the streams that `node:http` makes of each request, a PUT
 * took a node 1.6 times the CPU time, a GET 1.5 times (256 connections, small values).
 *
 * A request is plain if and only if it came in one piece, alone, and nothing about it has to be interpreted:
 *
 * ```
 * request = ("GET" / "PUT" / "POST" / "DELETE") SP "/" *target-char SP "HTTP/1.1" CRLF *field CRLF body
 * field   = token ":" [SP] 1*field-char CRLF
 * body    = as many bytes as Content-Length says; none without one, and none with GET
 * ```
 *
 * of at most {@link headBytesMax} before the body, with one Host, no field twice, and none that rules the connection or
 * the body's form ({@link ruling}), but for `Connection: keep-alive`. The first request that is not plain takes its
 * connection, with all that came and comes, to `node:http`, for good: what is malformed, streamed, slow or large is
 * judged there and nowhere else.
 */
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { type AnswerEnd, PlainAnswer } from "./plain-answer.ts";

/** Longer heads go to `node:http`, which bounds them. */
const headBytesMax = 4096;

/** How often silent connections are looked for, at the least. */
const sweepIntervalMsMax = 1000;

const requestLine = /^(GET|PUT|POST|DELETE) (\/[!-~]*) HTTP\/1\.1\r\n/;
/** Without white space that would have to be taken off, but for the one space that everybody writes. */
const field = /([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([!-~\x80-\xff][\t\x20-\x7e\x80-\xff]*)\r\n/y;
const ruling: ReadonlySet<string> = new Set([
  "connection",
  "expect",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "__proto__",
]);

/** A plain request: what the adapter's listener asks of an `IncomingMessage`. */
export interface PlainIncoming {
  readonly method: string;
  readonly url: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly rawHeaders: readonly string[];
  readonly rawBody: Buffer;
  readonly readableEnded: true;
  readonly errored: null;
  readonly socket: Socket;
}

/** Null where it is not plain. */
export function plainRequest(bytes: Buffer, socket: Socket): PlainIncoming | null {
  const end = bytes.indexOf("\r\n\r\n", 0, "latin1") + 2;
  if (end < 2 || end > headBytesMax) return null;
  const head = bytes.toString("latin1", 0, end);
  const line = requestLine.exec(head);
  if (line === null) return null;
  const [start, method = "", url = ""] = line;
  const headers: Record<string, string> = {};
  const rawHeaders: string[] = [];
  for (let at = start.length; at < end; at = field.lastIndex) {
    field.lastIndex = at;
    const found = field.exec(head);
    if (found === null) return null;
    const [, spelled = "", value = ""] = found;
    const name = spelled.toLowerCase();
    if (Object.hasOwn(headers, name) || /[\t ]$/.test(value)) return null;
    if (ruling.has(name) && !(name === "connection" && value === "keep-alive")) return null;
    headers[name] = value;
    rawHeaders.push(spelled, value);
  }
  const length = headers["content-length"] ?? "0";
  const rawBody = bytes.subarray(end + 2);
  if (!headers["host"] || length !== String(rawBody.length)) return null;
  if (method === "GET" && rawBody.length > 0) return null;
  return { method, url, headers, rawHeaders, rawBody, readableEnded: true, errored: null, socket };
}

/** What a listener that was made for `node:http` answers plain requests with. */
export type PlainListener = (incoming: PlainIncoming, outgoing: PlainAnswer) => Promise<void>;

export interface PlainLimits {
  /** How long a connection may be silent before its first request, in milliseconds. */
  readonly headersTimeoutMs: number;
  /** How long it may be silent after an answer. */
  readonly idleTimeoutMs: number;
}

/** The connections that are not `node:http`'s (yet). */
export interface PlainDoor {
  /** Ends what is idle, and the rest after its answer. */
  close(): void;
  /** Ends all at once. */
  destroy(): void;
}

/** Lets `listener` answer plain requests to `server`, which has to be `node:http`'s own, and not encrypted. */
export function answerPlain(
  server: Server,
  listener: PlainListener,
  limits: PlainLimits,
): PlainDoor {
  const connections = new Set<PlainConnection>();
  const door = { listener, limits, closing: false, now: 0 };
  const shortestMs = Math.min(limits.headersTimeoutMs, limits.idleTimeoutMs);
  const sweepIntervalMs = Math.min(sweepIntervalMsMax, shortestMs / 4);
  // A timeout of the socket's own would be armed anew with each piece read or written: 1.5 µs a request.
  const sweep = setInterval(() => {
    door.now += sweepIntervalMs;
    for (const connection of connections) connection.endIfSilent();
  }, sweepIntervalMs).unref();
  server.once("close", () => clearInterval(sweep));
  const httpListeners = server.listeners("connection");
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => {
    const connection = new PlainConnection(socket, door, {
      handOver: () => httpListeners.forEach((take) => Reflect.apply(take, server, [socket])),
      left: () => connections.delete(connection),
    });
    connections.add(connection);
  });
  return {
    close: () => {
      door.closing = true;
      for (const connection of connections) connection.endIfIdle();
    },
    destroy: () => {
      for (const connection of connections) connection.destroy();
    },
  };
}

interface Door {
  readonly listener: PlainListener;
  readonly limits: PlainLimits;
  closing: boolean;
  /** Milliseconds, counted in steps, one whenever silent connections are looked for. */
  now: number;
}

interface Exits {
  /** Gives the socket to `node:http`. */
  readonly handOver: () => void;
  readonly left: () => void;
}

/** One request at a time: what comes before it is answered waits in the socket. */
class PlainConnection implements AnswerEnd {
  readonly #socket: Socket;
  readonly #door: Door;
  readonly #exits: Exits;
  #answering: PlainAnswer | null = null;
  /** Came before the answer. */
  #next: Buffer | null = null;
  #ended = false;
  #silentSince: number;
  #silenceMsMax: number;

  constructor(socket: Socket, door: Door, exits: Exits) {
    this.#socket = socket;
    this.#door = door;
    this.#exits = exits;
    this.#silentSince = door.now;
    this.#silenceMsMax = door.limits.headersTimeoutMs;
    socket.on("data", this.#onData).on("end", this.#onEnd).on("error", this.#onError);
    socket.on("close", this.#onClose);
  }

  get keepAliveSeconds(): number {
    return Math.floor(this.#door.limits.idleTimeoutMs / 1000);
  }

  get closing(): boolean {
    return this.#door.closing || this.#ended;
  }

  endIfIdle(): void {
    if (this.#answering === null) this.#socket.destroySoon();
  }

  endIfSilent(): void {
    const silentMs = this.#door.now - this.#silentSince;
    if (this.#answering === null && silentMs > this.#silenceMsMax) this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  readonly #onData = (bytes: Buffer): void => {
    if (!this.#socket.writable) return;
    if (this.#answering === null) return this.#take(bytes);
    this.#socket.pause();
    this.#next = bytes;
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    if (this.#answering?.isEndless === true) this.#socket.destroy();
    else this.endIfIdle();
  };

  /** The socket closes after it. */
  readonly #onError = (): void => {};

  readonly #onClose = (): void => {
    this.#exits.left();
    this.#answering?.onClose();
  };

  #take(bytes: Buffer): void {
    const incoming = plainRequest(bytes, this.#socket);
    if (incoming === null) return this.#handOver(bytes);
    this.#answering = new PlainAnswer(this.#socket, this);
    void this.#door.listener(incoming, this.#answering);
  }

  #handOver(bytes: Buffer): void {
    const socket = this.#socket;
    socket.off("data", this.#onData).off("end", this.#onEnd).off("error", this.#onError);
    socket.off("close", this.#onClose);
    socket.pause();
    socket.unshift(bytes);
    this.#exits.left();
    this.#exits.handOver();
    socket.resume();
  }

  /** The answer is with the socket: the next request's turn, once the kernel has taken it. */
  answered(): void {
    if (!this.#socket.writableNeedDrain) return this.#proceed();
    this.#socket.once("drain", () => this.#proceed());
  }

  #proceed(): void {
    const socket = this.#socket;
    const next = this.#next;
    this.#answering = null;
    this.#next = null;
    // One that broke off says `close` no more: whoever took it now would keep it for ever.
    if (this.closing || !socket.writable) return socket.destroySoon();
    this.#silentSince = this.#door.now;
    this.#silenceMsMax = this.#door.limits.idleTimeoutMs;
    if (socket.isPaused()) socket.resume();
    if (next !== null) this.#take(next);
  }
}
