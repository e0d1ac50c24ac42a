/**
 * Watching: one stream of changes, out of as many connections as it takes.
 *
 * It goes on behind the last revision that it has given whole: a part of one that a connection broke off in is thrown
 * away, and what a node repeats is passed over. So each revision comes once, in order, and with all its events.
 */
import * as v from "valibot";
import {
  type ItemAnswer,
  ListAnswer,
  nodeHeader,
  WatchDelete,
  WatchProgress,
  WatchPut,
} from "../http/wire.ts";
import { decode, query } from "./answer.ts";
import { failed, open, problemIn, readBounded } from "./attempt.ts";
import { ClientError, isPassing } from "./error.ts";
import { EventStream, type ServerEvent } from "./event-stream.ts";
import { itemOf, keyOf, type ListedItem } from "./item.ts";
import { keyParameter, rangeParameters } from "./key.ts";
import type { Change, WatchEvent, WatchOptions } from "./options.ts";
import { linked, type LinkedSignal, pause, type Session, TIMER_MS_MAX } from "./session.ts";

const SILENCE_MS = 15_000;
const STALENESS_MS_MAX = 15_000;
const RETRY_DELAY_MS_MIN = 50;
const RETRY_DELAY_MS_MAX = 1000;
/** What the events of one revision may take until it is complete. */
const REVISION_CHARACTERS_MAX = 256 * 1024 * 1024;

/** See `Client.watch`. */
export function watch(
  session: Session,
  options: WatchOptions,
): AsyncGenerator<Change, void, undefined> {
  const { from } = options;
  const after = from === undefined
    ? currentRevision(session, options)
    : Promise.resolve(Math.max(0, from - 1));
  // Whoever asks for the first change hears of it.
  after.catch(() => {});
  return follow(session, options, after);
}

/** The store's revision, linearizably: what is written from now on comes behind it. */
async function currentRevision(session: Session, { signal }: WatchOptions): Promise<number> {
  const target = "/v1/kv?limit=1&values=false";
  const answer = await session.send({ method: "GET", target, kind: "read", signal });
  return decode(ListAnswer, answer, "read").revision;
}

async function* follow(
  session: Session,
  options: WatchOptions,
  after: Promise<number>,
): AsyncGenerator<Change, void, undefined> {
  let seen = await after;
  let failures = 0;
  for (const tried = new Set<string>();;) {
    const endpoint = session.endpoints.choose("read", tried);
    const connection = new Connection({ session, options, endpoint, after: seen });
    try {
      for await (const change of connection.changes()) {
        failures = 0;
        tried.clear();
        const isProgress = change.events.length === 0;
        if (isProgress ? change.revision < seen : change.revision <= seen) continue;
        seen = change.revision;
        if (!isProgress || options.progress === true) yield change;
      }
    } catch (error) {
      if (!(error instanceof ClientError) || !isPassing(error)) throw error;
      session.endpoints.failed(endpoint, error);
      session.options.onRetry(error);
      tried.add(endpoint);
      failures++;
    }
    if (failures > 1) await backOff(session, options, failures - 1);
    if (tried.size >= session.endpoints.count) tried.clear();
  }
}

async function backOff(
  session: Session,
  options: WatchOptions,
  failures: number,
): Promise<void> {
  const delay = Math.min(RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_MIN * 2 ** Math.min(10, failures - 1));
  const abort = linked([session.options.signal, options.signal]);
  await pause(delay * (0.5 + Math.random() / 2), abort.signal);
  abort.unlink();
}

interface ConnectionParts {
  readonly session: Session;
  readonly options: WatchOptions;
  readonly endpoint: string;
  /** What it begins behind. */
  readonly after: number;
}

/** One connection to one endpoint. */
class Connection {
  readonly #parts: ConnectionParts;
  readonly #abort: LinkedSignal;
  #isLate = false;
  /** Of the revision that is not complete. */
  #events: WatchEvent[] = [];
  #revision = 0;
  #characters = 0;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.#abort = linked([parts.session.options.signal, parts.options.signal]);
  }

  /** Ends where the node ends it in order. @throws {ClientError} */
  async *changes(): AsyncGenerator<Change, void, undefined> {
    const { options } = this.#parts;
    const stream = new EventStream();
    let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
    try {
      reader = (await this.#open()).getReader();
      for (;;) {
        const source = reader;
        const { done, value } = await this.#within(
          options.silenceMs ?? SILENCE_MS,
          () => source.read(),
        );
        if (done) throw this.#broken("the stream ended");
        for (const event of this.#caught(() => stream.push(value))) {
          if (event.type === "overflow") return;
          const change = this.#take(event);
          if (change !== null) yield change;
        }
      }
    } finally {
      this.#abort.unlink();
      this.#abort.abort();
      void reader?.cancel().catch(() => {});
    }
  }

  async #open(): Promise<ReadableStream<Uint8Array>> {
    const { session, options, endpoint, after } = this.#parts;
    const { fetch, attemptTimeoutMs } = session.options;
    const parameters = {
      ...(options.key === undefined ? {} : { key: keyParameter(options.key) }),
      ...rangeParameters(options),
      ...(options.previous === undefined ? {} : { previous: "true" }),
    };
    const request = {
      method: "GET",
      target: `/v1/watch${query(parameters)}`,
      headers: { accept: "text/event-stream", "last-event-id": String(after) },
    } as const;
    return await this.#within(attemptTimeoutMs, async () => {
      const response = await open(request, { fetch, endpoint }, this.#abort.signal);
      const { status, headers, body } = response;
      session.endpoints.answered({ endpoint, headers });
      if (status === 200 && headers.has(nodeHeader) && body !== null) {
        session.endpoints.worked(endpoint);
        return body;
      }
      const answer = { status, headers, body: await readBounded(response), endpoint };
      throw problemIn(answer, { isRead: true });
    });
  }

  /** @throws {ClientError} */
  async #within<T>(timeoutMs: number, waiting: () => Promise<T>): Promise<T> {
    if (this.#abort.signal.aborted) throw this.#failed(this.#abort.signal.reason);
    const timer = setTimeout(() => {
      this.#isLate = true;
      this.#abort.abort();
    }, Math.min(timeoutMs, TIMER_MS_MAX));
    try {
      return await waiting();
    } catch (error) {
      if (error instanceof ClientError) throw error;
      throw this.#failed(error);
    } finally {
      clearTimeout(timer);
    }
  }

  #failed(error: unknown): ClientError {
    const { session, options, endpoint } = this.#parts;
    const aborted = [session.options.signal, options.signal].find((one) => one?.aborted === true);
    const signal = aborted ?? new AbortController().signal;
    return failed(error, { endpoint, isMet: true, isRead: true, signal }, this.#isLate);
  }

  #broken(what: string): ClientError {
    const { endpoint } = this.#parts;
    const fields = { code: "no_answer", status: null, outcome: null } as const;
    return new ClientError(`${endpoint}: ${what}`, fields);
  }

  #caught<T>(doing: () => T): T {
    try {
      return doing();
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** What an event completes. */
  #take(event: ServerEvent): Change | null {
    switch (event.type) {
      case "put": {
        const { previous, more, ...put } = this.#decode(WatchPut, event);
        const item = this.#caught(() => itemOf(put));
        const before = this.#caught(() => itemOrNull(previous));
        return this.#add(event, { type: "put", key: item.key, item, previous: before }, more);
      }
      case "delete": {
        const { previous, more, ...gone } = this.#decode(WatchDelete, event);
        const key = this.#caught(() => keyOf(gone));
        const before = this.#caught(() => itemOrNull(previous));
        return this.#add(event, { type: "delete", key, previous: before }, more);
      }
      case "progress": {
        const { revision, stalenessMs } = this.#decode(WatchProgress, event);
        const staleMsMax = this.#parts.options.maxStaleMs ?? STALENESS_MS_MAX;
        if (stalenessMs !== null && stalenessMs <= staleMsMax) return { revision, events: [] };
        const age = stalenessMs === null ? "of unknown age" : `up to ${stalenessMs} ms old`;
        const text = `${this.#parts.endpoint}: its state is ${age}`;
        throw new ClientError(text, { code: "too_stale", status: null, outcome: null });
      }
      default:
        return null;
    }
  }

  #add({ id, data }: ServerEvent, event: WatchEvent, more: true | undefined): Change | null {
    const revision = Number(id);
    this.#characters += data.length;
    const isOther = this.#events.length > 0 && revision !== this.#revision;
    if (!Number.isSafeInteger(revision) || revision < 1 || isOther) {
      throw this.#broken("an event out of order");
    }
    if (this.#characters > REVISION_CHARACTERS_MAX) throw this.#broken("a revision without an end");
    this.#revision = revision;
    this.#events.push(event);
    if (more === true) return null;
    const change = { revision, events: this.#events };
    this.#events = [];
    this.#characters = 0;
    return change;
  }

  #decode<T>(shape: v.GenericSchema<unknown, T>, { data }: ServerEvent): T {
    const result = v.safeParse(shape, this.#caught(() => JSON.parse(data)));
    if (result.success) return result.output;
    throw this.#broken(`an event that is none of a watch: ${data.slice(0, 100)}`);
  }
}

function itemOrNull(answer: ItemAnswer | null | undefined): ListedItem | null {
  return answer === null || answer === undefined ? null : itemOf(answer);
}
