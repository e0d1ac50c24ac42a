/**
 * Logs one JSON object a line: `{"time":"2026-…Z","level":"info","message":"…", …fields}`. Logging only queues; one
 * write is under way at a time, and what the queue cannot hold is dropped and counted. A reader of standard error that
 * is slow, stopped or gone therefore costs log lines and nothing else.
 */
import { write } from "node:fs";
import type { Logger, LogLevel } from "../ports.ts";

/** Writes some of the bytes and says how many; rejects as the system does. */
export type LogSink = (bytes: Uint8Array) => Promise<number>;

/** A {@link Logger}, and its end. */
export interface JsonLogger {
  readonly log: Logger;
  /** Resolves when all is written that will be, or after `timeoutMs`. */
  flush(timeoutMs: number): Promise<void>;
  /** How many lines were thrown away so far. */
  readonly dropped: () => number;
}

/** How a logger is made. */
export interface JsonLoggerOptions {
  /** The least level that is logged. */
  readonly level: LogLevel;
  /** Standard error where not given. */
  readonly sink?: LogSink;
  /** Bytes that may wait. */
  readonly queueBytesMax?: number;
  /** Milliseconds since 1970, for the lines' `time`. */
  readonly wallNow?: () => number;
}

const QUEUE_BYTES_MAX = 256 * 1024;
/** A single line, and each of its strings: a field never carries a value of the store, but errors can be long. */
const LINE_BYTES_MAX = 8 * 1024;
const STRING_CHARACTERS_MAX = 1024;
/** How long a full pipe is left alone, in milliseconds. */
const RETRY_DELAY_MS = 100;

const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];
const secretName = /secret|token|authorization|password/i;
const encoder = new TextEncoder();

/** Writes to standard error without blocking the event loop (under Node and Bun; Deno's runtime hands in its own). */
export const standardError: LogSink = (bytes) =>
  new Promise((resolve, reject) => {
    write(2, bytes, 0, bytes.length, null, (error, written) => {
      if (error === null) resolve(written);
      else reject(error);
    });
  });

/** Makes a logger. Its `log` returns at once and never throws. */
export function createJsonLogger(options: JsonLoggerOptions): JsonLogger {
  const queue = new LineQueue(
    options.sink ?? standardError,
    options.queueBytesMax ?? QUEUE_BYTES_MAX,
    options.wallNow ?? Date.now,
  );
  const least = levels.indexOf(options.level);
  return {
    log: (level, message, fields) => {
      if (levels.indexOf(level) >= least) queue.add(level, message, fields);
    },
    flush: (timeoutMs) => queue.flush(timeoutMs),
    dropped: () => queue.dropped,
  };
}

class LineQueue {
  readonly #sink: LogSink;
  readonly #bytesMax: number;
  readonly #wallNow: () => number;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** Lines that were thrown away so far, and how many of them a line has told of. */
  dropped = 0;
  #told = 0;
  #draining: Promise<void> | null = null;

  constructor(sink: LogSink, bytesMax: number, wallNow: () => number) {
    this.#sink = sink;
    this.#bytesMax = bytesMax;
    this.#wallNow = wallNow;
  }

  add(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const line = lineOf(this.#wallNow(), level, message, fields);
    if (this.#waitingBytes + line.length > this.#bytesMax) {
      this.dropped++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    this.#draining ??= this.#drain();
  }

  async flush(timeoutMs: number): Promise<void> {
    if (this.#draining === null) return;
    let timeout: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timeout = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.#draining, late]);
    clearTimeout(timeout);
  }

  async #drain(): Promise<void> {
    // Lines of one turn of the event loop leave together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const lines = this.#waiting.splice(0);
      const bytes = join(lines);
      const isWritten = await this.#write(bytes);
      this.#waitingBytes -= bytes.length;
      if (isWritten) this.#reportDropped();
      else this.dropped += lines.length;
    }
    this.#draining = null;
  }

  /** Only a write that went well is followed by a report: a broken sink would be told for ever that it is broken. */
  #reportDropped(): void {
    if (this.dropped === this.#told) return;
    const fields = { dropped: this.dropped - this.#told };
    const line = lineOf(this.#wallNow(), "warn", "log lines were dropped", fields);
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    this.#told = this.dropped;
  }

  async #write(bytes: Uint8Array): Promise<boolean> {
    let rest = bytes;
    while (rest.length > 0) {
      const written = await this.#sink(rest).catch(errorCode);
      if (typeof written === "number") rest = rest.subarray(written);
      else if (written !== "EAGAIN") return false;
      if (written === 0 || written === "EAGAIN") {
        await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS));
      }
    }
    return true;
  }
}

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}

function join(lines: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(lines.reduce((sum, line) => sum + line.length, 0));
  let offset = 0;
  for (const line of lines) {
    bytes.set(line, offset);
    offset += line.length;
  }
  return bytes;
}

function lineOf(
  wallNow: number,
  level: LogLevel,
  message: string,
  fields: Readonly<Record<string, unknown>>,
): Uint8Array {
  const head = { time: new Date(wallNow).toISOString(), level, message };
  const line = encoder.encode(`${stringified({ ...fields, ...head }, head)}\n`);
  return line.length <= LINE_BYTES_MAX
    ? line
    : encoder.encode(`${JSON.stringify({ ...head, message: cut(message), truncated: true })}\n`);
}

function stringified(line: object, head: object): string {
  try {
    return JSON.stringify(line, shown);
  } catch {
    return JSON.stringify({ ...head, fields: "not JSON" });
  }
}

/** What a field looks like in a line: errors by their message, bytes by their length, secrets not at all. */
function shown(name: string, value: unknown): unknown {
  if (secretName.test(name)) return "[hidden]";
  if (value instanceof Error) return cut(value.stack ?? `${value.name}: ${value.message}`);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (typeof value === "bigint") return String(value);
  if (typeof value === "string") return cut(value);
  return value;
}

function cut(text: string): string {
  return text.length <= STRING_CHARACTERS_MAX ? text : `${text.slice(0, STRING_CHARACTERS_MAX)}…`;
}
