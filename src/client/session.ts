/**
 * Calls, as attempts that follow one another until one is answered.
 *
 * An attempt whose fate is not known may still take effect, also later. A read is simply sent again, and so is a write
 * that carries a number (see `sequence.ts`): whichever attempt takes effect, its answer is the write's. What refuses an
 * attempt before it was applied says nothing of an earlier one whose fate is unknown: the outcome stays unknown then.
 */
import { type Answer, attempt, type ClientFetch, type Request } from "./attempt.ts";
import { Endpoints } from "./endpoints.ts";
import { ClientError, type ClientErrorCode, isPassing } from "./error.ts";
import { Sequence } from "./sequence.ts";

/** A request that may take several attempts. */
export interface Call extends Request {
  /**
   * A `keyedWrite` is numbered, and takes effect once; an `idempotentWrite` may take effect twice, which is the same as
   * once; a `write` is not sent again once its fate is unknown.
   */
  readonly kind: "read" | "keyedWrite" | "idempotentWrite" | "write";
  readonly signal?: AbortSignal | undefined;
  /** By then it has ended, in milliseconds; as the session has it where it isn't said. */
  readonly timeoutMs?: number;
  /** A single attempt's end; as the session has it where it isn't said. */
  readonly attemptTimeoutMs?: number;
  /** Refusals that would pass, and are not waited for. */
  readonly final?: ReadonlySet<ClientErrorCode>;
  /** Kept up to date, for whoever gives the call up from outside. */
  readonly fate?: Fate;
}

/** What is known of a call that is under way. */
export interface Fate {
  /** The attempt whose fate is unknown; null where none is. */
  uncertain: ClientError | null;
  /** What the last attempt ended in. */
  last: ClientError | null;
  isUnderWay: boolean;
}

/** A call of which nothing was sent yet. */
export function freshFate(): Fate {
  return { uncertain: null, last: null, isUnderWay: false };
}

export interface SessionOptions {
  readonly endpoints: readonly string[];
  /** Whether no other endpoints are learned; they are where it isn't said. */
  readonly isFixed?: boolean;
  readonly fetch: ClientFetch;
  readonly timeoutMs: number;
  readonly attemptTimeoutMs: number;
  readonly signal: AbortSignal;
  /** Told of every attempt that is about to be repeated. */
  readonly onRetry: (error: ClientError) => void;
}

const RETRY_DELAY_MS_MIN = 50;
const RETRY_DELAY_MS_MAX = 1000;
/**
 * A write whose fate is unknown is not sent again so long after it was first sent: the cluster keeps a session's
 * answers for 10 minutes after it last heard of it.
 */
const RESENT_MS_MAX = 300_000;
/** The longest that timers run: one that is set for longer goes off at once. */
export const TIMER_MS_MAX: number = 2 ** 31 - 1;
/** Requests on their way at a time; what comes beyond them is refused here. */
const REQUESTS_MAX = 1024;

/** What a call that depended on a place in the log is refused with: that answer is kept, so it is the write's own. */
const decided: ReadonlySet<ClientErrorCode> = new Set(["precondition_failed", "not_found"]);

/** A client's side of its conversation with a cluster. */
export class Session {
  readonly options: SessionOptions;
  readonly endpoints: Endpoints;
  readonly #sequence = new Sequence();
  #requests = 0;

  constructor(options: SessionOptions) {
    this.options = options;
    const { endpoints: given, isFixed = false, fetch, signal } = options;
    this.endpoints = new Endpoints({ given, isFixed, fetch, signal });
  }

  /** @throws {ClientError} */
  async send(call: Call): Promise<Answer> {
    const isRead = call.kind === "read";
    if (this.#requests >= REQUESTS_MAX) {
      throw new ClientError(`over ${REQUESTS_MAX} requests at a time`, {
        code: "overloaded",
        status: null,
        outcome: isRead ? null : "not_applied",
      });
    }
    this.#requests++;
    const number = call.kind === "keyedWrite" ? this.#sequence.draw() : null;
    const abort = linked([this.options.signal, call.signal]);
    try {
      return await this.#repeat(call, { number, signal: abort.signal });
    } finally {
      this.#requests--;
      abort.unlink();
      if (number !== null) this.#sequence.close(number);
    }
  }

  /** One attempt at one endpoint. @throws {ClientError} */
  async sendTo(endpoint: string, call: Call): Promise<Answer> {
    const abort = linked([this.options.signal, call.signal]);
    try {
      return await this.#attempt(endpoint, call, { number: null, signal: abort.signal });
    } finally {
      abort.unlink();
    }
  }

  async #repeat(call: Call, sending: Sending): Promise<Answer> {
    const { onRetry } = this.options;
    const fate = call.fate ?? freshFate();
    const first = Date.now();
    const deadline = performance.now() + (call.timeoutMs ?? this.options.timeoutMs);
    const tried = new Set<string>();
    for (let round = 1;;) {
      if (sending.signal.aborted) throw abandoned(call.kind, fate, sending.signal);
      const purpose = call.kind === "read" ? "read" : "write";
      const endpoint = this.endpoints.choose(purpose, tried);
      tried.add(endpoint);
      try {
        fate.isUnderWay = true;
        const timeoutMs = deadline - performance.now();
        return await this.#attempt(endpoint, { ...call, timeoutMs }, sending);
      } catch (error) {
        fate.isUnderWay = false;
        if (!(error instanceof ClientError)) throw error;
        fate.last = error;
        if (error.outcome === "unknown") fate.uncertain = error;
        if (isPassing(error)) this.endpoints.failed(endpoint, error);
        const delay = retryDelay(round, error);
        const isOver = performance.now() + delay >= deadline;
        if (isOver || !isRepeatable(call, error)) throw settled(call.kind, fate, error);
        onRetry(error);
        await pause(delay, sending.signal);
        // Behind the pause, in which the machine may have been asleep.
        if (isTooOld(first, fate)) throw settled(call.kind, fate, error);
        if (tried.size >= this.endpoints.count) {
          tried.clear();
          round++;
        }
      }
    }
  }

  async #attempt(endpoint: string, call: Call, { number, signal }: Sending): Promise<Answer> {
    const { fetch, attemptTimeoutMs, timeoutMs } = this.options;
    const { method, target, body } = call;
    const headers = {
      ...call.headers,
      ...(number === null ? {} : this.#sequence.headers(number)),
    };
    const answer = await attempt(
      { method, target, headers, ...(body === undefined ? {} : { body }) },
      {
        fetch: async (url, init) => {
          const response = await fetch(url, init);
          this.endpoints.answered({ endpoint, headers: response.headers });
          return response;
        },
        endpoint,
        isMet: this.endpoints.isMet(endpoint),
        isRead: call.kind === "read",
        timeoutMs: Math.min(call.attemptTimeoutMs ?? attemptTimeoutMs, call.timeoutMs ?? timeoutMs),
        signal,
      },
    );
    this.endpoints.worked(endpoint);
    return answer;
  }
}

interface Sending {
  readonly number: number | null;
  readonly signal: AbortSignal;
}

function isRepeatable({ kind, final }: Call, error: ClientError): boolean {
  if (error.code === "bad_answer") return false;
  if (!isPassing(error) || final?.has(error.code) === true) return false;
  return kind !== "write" || error.outcome !== "unknown";
}

/** By the wall clock, which goes on while a machine sleeps. */
function isTooOld(first: number, fate: Fate): boolean {
  return fate.uncertain !== null && Date.now() - first > RESENT_MS_MAX;
}

/** What a call ends in whose last attempt ended in `error`. */
function settled(kind: Call["kind"], { uncertain }: Fate, error: ClientError): ClientError {
  if (uncertain === null || uncertain === error) return error;
  if (kind === "keyedWrite" && decided.has(error.code)) return error;
  return new ClientError(
    `an earlier attempt may have been applied (${uncertain.message}); then: ${error.message}`,
    {
      code: error.code,
      status: error.status,
      outcome: "unknown",
      revision: error.revision,
      oldest: error.oldest,
      cause: error,
    },
  );
}

/** What a call ends in that is given up from outside. */
export function abandoned(
  kind: Call["kind"],
  { uncertain, isUnderWay }: Fate,
  { reason }: Pick<AbortSignal, "reason">,
): ClientError {
  const isUnknown = uncertain !== null || isUnderWay;
  return new ClientError("aborted", {
    code: "aborted",
    status: null,
    outcome: kind === "read" ? null : isUnknown ? "unknown" : "not_applied",
    cause: reason,
  });
}

/** What a call ends in whose time is over. */
export function late(kind: Call["kind"], fate: Fate): ClientError {
  const { uncertain, last, isUnderWay } = fate;
  if (last !== null && !isUnderWay) return settled(kind, fate, last);
  const isUnknown = uncertain !== null || isUnderWay;
  const message = isUnknown ? "no answer in time" : "its time was over before it was sent";
  return new ClientError(message, {
    code: "no_answer",
    status: null,
    outcome: kind === "read" ? null : isUnknown ? "unknown" : "not_applied",
    cause: uncertain ?? last,
  });
}

/** Another endpoint is tried at once where nothing was heard of one; each further round waits longer. */
function retryDelay(round: number, { code }: ClientError): number {
  if (round === 1 && (code === "unreachable" || code === "no_answer")) return 0;
  const delay = Math.min(RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_MIN * 2 ** Math.min(10, round - 1));
  const spread = delay * (0.5 + Math.random() / 2);
  return code === "overloaded" ? Math.max(spread, RETRY_DELAY_MS_MAX / 2) : spread;
}

/** Resolves when the time is over, 25 days at most, or the signal is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (ms <= 0 || signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(ms, TIMER_MS_MAX));
    signal.addEventListener("abort", done);
  });
}

/** A signal that follows others. */
export interface LinkedSignal {
  readonly signal: AbortSignal;
  readonly abort: (reason?: unknown) => void;
  readonly unlink: () => void;
}

/** A signal that is aborted with any of others, as long as it is linked to them. */
export function linked(signals: readonly (AbortSignal | undefined)[]): LinkedSignal {
  const given = signals.filter((signal) => signal !== undefined);
  const abort = new AbortController();
  const listeners = given.map((signal) => ({
    signal,
    listener: (): void => abort.abort(signal.reason),
  }));
  for (const { signal, listener } of listeners) {
    if (signal.aborted) listener();
    else signal.addEventListener("abort", listener);
  }
  const unlink = (): void => {
    for (const { signal, listener } of listeners) signal.removeEventListener("abort", listener);
  };
  return { signal: abort.signal, abort: (reason) => abort.abort(reason), unlink };
}
