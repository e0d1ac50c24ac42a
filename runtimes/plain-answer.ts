/** An answer to a plain request (see `plain-requests.ts`), written in one piece where it is whole. */
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";

/** What an answer tells of its end. */
export interface AnswerEnd {
  /** Whether the connection closes behind this answer. */
  readonly closing: boolean;
  /** What it announces of its idle time, in whole seconds. */
  readonly keepAliveSeconds: number;
  answered(): void;
}

type HeaderValue = string | number | readonly string[];

/** A line of a head (RFC 9110, section 5.5); anything else could begin a header, or an answer, of its own. */
const headerLine = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e]*$/;
/** Ruled by the connection, here and in `node:http` alike. */
const own: ReadonlySet<string> = new Set(["connection", "date", "keep-alive", "transfer-encoding"]);
/** Of answers that end only when their client goes. */
const endlessType = "text/event-stream";
/** A body up to here is copied behind its head: that takes less than a second piece to write. */
const copiedBytesMax = 16 * 1024;

/** What the adapter's listener asks of a `ServerResponse`. */
export class PlainAnswer {
  headersSent = false;
  writableFinished = false;
  readonly #socket: Socket;
  readonly #connection: AnswerEnd;
  readonly #onClose = new Set<() => void>();
  #head = "";
  #bodiless = false;
  #sized = false;
  #endless = false;

  constructor(socket: Socket, connection: AnswerEnd) {
    this.#socket = socket;
    this.#connection = connection;
  }

  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  get writable(): boolean {
    return !this.writableFinished && this.#socket.writable;
  }

  /** Whether it is being sent for as long as its client listens: one that has sent its last has gone. */
  get isEndless(): boolean {
    return this.#endless && !this.writableFinished;
  }

  /** @throws {TypeError} where a header is not one. */
  writeHead(status: number, headers: Readonly<Record<string, HeaderValue>> = {}): void {
    this.#bodiless = status === 204 || status === 304;
    this.#sized = false;
    this.#endless = headers["content-type"] === endlessType;
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\n`;
    for (const name of Object.keys(headers)) {
      const lower = name.toLowerCase();
      if (own.has(lower)) continue;
      if (lower === "content-length") this.#sized = true;
      const value = headers[name];
      for (const one of Array.isArray(value) ? value : [value]) {
        const line = `${name}: ${one}`;
        if (!headerLine.test(line)) throw new TypeError(`${name} is not a header`);
        head += line + "\r\n";
      }
    }
    this.#head = head;
  }

  /** Sends the head of an answer that comes in pieces. */
  flushHeaders(): void {
    if (this.#endless && this.#connection.closing) return this.destroy();
    const form = this.#sized || this.#bodiless ? "" : "Transfer-Encoding: chunked\r\n";
    this.#socket.write(this.#wholeHead(form), "latin1");
    this.headersSent = true;
  }

  /** Returns whether there is room for more; else it says `drain`. */
  write(piece: Uint8Array): boolean {
    if (!this.headersSent) this.flushHeaders();
    if (this.#bodiless || piece.length === 0) return true;
    if (this.#sized) return this.#socket.write(piece);
    this.#socket.cork();
    this.#socket.write(`${piece.length.toString(16)}\r\n`, "latin1");
    this.#socket.write(piece);
    const hasRoom = this.#socket.write("\r\n", "latin1");
    this.#socket.uncork();
    return hasRoom;
  }

  end(body: string | Uint8Array | null = null): void {
    if (this.writableFinished) return;
    if (this.headersSent) {
      if (!this.#sized && !this.#bodiless) this.#socket.write("0\r\n\r\n", "latin1");
    } else if (!this.#socket.destroyed) {
      this.#sendWhole(this.#bodiless ? null : body);
    }
    this.headersSent = true;
    this.writableFinished = true;
    this.#connection.answered();
  }

  #sendWhole(body: string | Uint8Array | null): void {
    const length = typeof body === "string" ? Buffer.byteLength(body) : body?.length ?? 0;
    const form = this.#sized || this.#bodiless ? "" : `Content-Length: ${length}\r\n`;
    const head = this.#wholeHead(form);
    if (body === null || typeof body === "string") {
      // In UTF-8, which the head is too: it is written 4 µs sooner than as bytes, or in Latin-1.
      this.#socket.write(body === null ? head : head + body);
    } else if (length <= copiedBytesMax) {
      const whole = Buffer.allocUnsafe(head.length + length);
      whole.write(head, "latin1");
      whole.set(body, head.length);
      this.#socket.write(whole);
    } else {
      this.#socket.cork();
      this.#socket.write(head, "latin1");
      this.#socket.write(body);
      this.#socket.uncork();
    }
  }

  #wholeHead(form: string): string {
    const { closing, keepAliveSeconds } = this.#connection;
    const connection = closing
      ? "Connection: close\r\n"
      : `Connection: keep-alive\r\nKeep-Alive: timeout=${keepAliveSeconds}\r\n`;
    return `${this.#head}${form}${dateLine()}${connection}\r\n`;
  }

  on(event: "close" | "error" | "drain", listener: () => void): this {
    if (event === "close") this.#onClose.add(listener);
    if (event === "drain") this.#socket.once("drain", listener);
    return this;
  }

  once(event: "close" | "error" | "drain", listener: () => void): this {
    return this.on(event, listener);
  }

  off(event: "close" | "error" | "drain", listener: () => void): this {
    if (event === "close") this.#onClose.delete(listener);
    return this;
  }

  /** The connection broke off. */
  onClose(): void {
    if (this.writableFinished) return;
    for (const listener of this.#onClose) listener();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

let date = { second: 0, line: "" };

function dateLine(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== date.second) {
    date = { second, line: `Date: ${new Date(second * 1000).toUTCString()}\r\n` };
  }
  return date.line;
}
