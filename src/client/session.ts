/**
 * One request against several endpoints: attempts, their fates, and when another one is safe.
 *
 * An attempt whose fate is not known may still take effect, also later. A read is simply sent again. A write is sent
 * again only where every attempt carries the same condition, because then at most one of them can take effect, or where
 * it is idempotent; and if a later one is refused, an earlier one may be the reason: the outcome stays unknown.
 */
import * as v from "valibot";
import { nodeHeader, type Outcome, Problem, type ProblemCode, problemCodes } from "../http/wire.ts";
import { ClientError, type ClientErrorCode, isPassing } from "./error.ts";

/** A request, as it is sent each time. */
export interface Call {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** Path and query. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** A write's conditions make it safe to repeat, and so does that twice is the same as once. */
  readonly kind: "read" | "write" | "conditionalWrite" | "idempotentWrite";
  /** By then it has ended, in milliseconds. */
  readonly timeoutMs: number;
  /** Refusals that would pass, and are not waited for. */
  readonly final?: ReadonlySet<ClientErrorCode>;
}

/** A successful answer, or 404 for a key, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
  /** The endpoint that gave it. */
  readonly endpoint: string;
}

/** The part of `fetch` that is used. */
export type ClientFetch = (url: string, init: RequestInit) => Promise<Response>;

export interface SessionOptions {
  /** Tried in this order at first; one that works is stayed with. */
  readonly endpoints: readonly string[];
  readonly fetch: ClientFetch;
  /** A single attempt's end, in milliseconds. */
  readonly attemptTimeoutMs: number;
  /** Told of every attempt that is about to be repeated. */
  readonly onRetry: (error: ClientError) => void;
}

const RETRY_DELAY_MS_MIN = 50;
const RETRY_DELAY_MS_MAX = 1000;
/** A page of values, base64 and JSON around it; a value is smaller. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** Sends requests, to one endpoint at a time. */
export class Session {
  readonly #options: SessionOptions;
  /** Endpoints that have answered: a refused connection to one of them may hide a first attempt that got through. */
  readonly #met = new Set<string>();
  #current = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** @throws {ClientError} */
  async send(call: Call): Promise<Answer> {
    const { endpoints, onRetry } = this.#options;
    const deadline = performance.now() + call.timeoutMs;
    let uncertain: ClientError | null = null;
    for (let attempt = 1;; attempt++) {
      const at = this.#current % endpoints.length;
      const endpoint = endpoints[at] ?? "";
      try {
        return await this.sendTo(endpoint, { ...call, timeoutMs: deadline - performance.now() });
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        if (error.outcome === "unknown") {
          if (call.kind === "read" || call.kind === "write") throw error;
          uncertain = error;
        }
        // Calls that fail side by side move on once.
        if (isPassing(error) && this.#current % endpoints.length === at) this.#current++;
        const delay = retryDelay(Math.ceil(attempt / endpoints.length), error);
        const isFinal = !isPassing(error) || call.final?.has(error.code) === true;
        if (isFinal || performance.now() + delay >= deadline) {
          throw uncertain === null ? error : afterUncertain(uncertain, error);
        }
        onRetry(error);
        await new Promise((resolve) => setTimeout(resolve, delay));
      }
    }
  }

  /** One attempt at one endpoint. @throws {ClientError} */
  async sendTo(endpoint: string, call: Call): Promise<Answer> {
    const { fetch, attemptTimeoutMs } = this.#options;
    const abort = new AbortController();
    const timer = setTimeout(
      () => abort.abort(),
      Math.max(1, Math.min(attemptTimeoutMs, call.timeoutMs)),
    );
    try {
      const response = await fetch(`${endpoint}${call.target}`, {
        method: call.method,
        headers: { ...call.headers },
        ...(call.body === undefined ? {} : { body: call.body.slice() }),
        redirect: "error",
        signal: abort.signal,
      });
      this.#met.add(endpoint);
      const body = await readBounded(response);
      return checked({ status: response.status, headers: response.headers, body, endpoint }, call);
    } catch (error) {
      if (error instanceof ClientError) throw error;
      throw this.#failed(endpoint, call, abort.signal.aborted, error);
    } finally {
      clearTimeout(timer);
      abort.abort();
    }
  }

  #failed(endpoint: string, call: Call, isLate: boolean, error: unknown): ClientError {
    const isUnsent = !isLate && isRefusal(error, this.#met.has(endpoint));
    const code = isUnsent ? "unreachable" : "no_answer";
    const detail = isLate ? "no answer in time" : describe(error);
    return new ClientError(`${endpoint}: ${detail}`, {
      code,
      status: null,
      outcome: call.kind === "read" ? null : isUnsent ? "not_applied" : "unknown",
      cause: error,
    });
  }
}

/** An endpoint may be tried at once after another; a round through all of them is followed by a growing pause. */
function retryDelay(round: number, error: ClientError): number {
  const delay = Math.min(RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_MIN * 2 ** Math.min(10, round - 1));
  const spread = delay * (0.5 + Math.random() / 2);
  return error.code === "overloaded" ? Math.max(spread, RETRY_DELAY_MS_MAX / 2) : spread;
}

function afterUncertain(uncertain: ClientError, last: ClientError): ClientError {
  return new ClientError(
    last === uncertain
      ? uncertain.message
      : `an earlier attempt may have been applied (${uncertain.message}); then: ${last.message}`,
    { code: last.code, status: last.status, outcome: "unknown", revision: last.revision },
  );
}

/** Codes of Node and Bun that say that no connection came about. */
const neverSent: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ConnectionRefused",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);
/** What says so only as long as there was no connection before. */
const neverMet = /connection refused|dns error|EHOSTUNREACH|ENETUNREACH/i;

/**
 * Whether no connection came about. Node and Bun say so by code and never send twice. Deno says it in words, and
 * sends again by itself when a kept-alive connection breaks, so there it counts only before the first answer.
 */
function isRefusal(error: unknown, isMet: boolean): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && neverSent.has(at.code)) return true;
    if (at.message === "bad port") return true;
    if (at instanceof AggregateError && at.errors.every((one) => isRefusal(one, isMet))) {
      return true;
    }
    if (!isMet && neverMet.test(at.message)) return true;
  }
  return false;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error ? `${error.message} (${cause.message})` : error.message;
}

async function readBounded(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) throw new Error(`an answer of over ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  const body = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.length;
  }
  return body;
}

/** Lets success pass. @throws {ClientError} */
function checked(answer: Answer, call: Call): Answer {
  const { status, headers, body, endpoint } = answer;
  if (status >= 200 && status < 300 && headers.has(nodeHeader)) return answer;
  const problem = readProblem(body);
  const isRead = call.kind === "read";
  const byStatus: Outcome = status >= 400 && status < 500 ? "not_applied" : "unknown";
  const fields = { status, outcome: isRead ? null : problem?.outcome ?? byStatus };
  const { code } = problem ?? {};
  if (!headers.has(nodeHeader) || !isKnown(code)) {
    throw new ClientError(
      `${endpoint} answered ${status} as no Holdfast node would: is it one?`,
      { ...fields, code: "bad_answer" satisfies ClientErrorCode },
    );
  }
  const revision = revisionOf(headers) ?? (code === "precondition_failed" ? 0 : null);
  throw new ClientError(`${problem?.detail ?? code}`, { ...fields, code, revision });
}

function isKnown(code: string | undefined): code is ProblemCode {
  return code !== undefined && Object.hasOwn(problemCodes, code);
}

function readProblem(body: Uint8Array): Problem | null {
  try {
    const result = v.safeParse(Problem, JSON.parse(new TextDecoder().decode(body)));
    return result.success ? result.output : null;
  } catch {
    return null;
  }
}

/** The revision in an `ETag`, or null. */
export function revisionOf(headers: Headers): number | null {
  const [, digits] = /^"(\d{1,16})"$/.exec(headers.get("etag") ?? "") ?? [];
  return digits === undefined ? null : Number(digits);
}
