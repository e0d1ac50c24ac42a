/** One request to one endpoint, and what is known of its fate. */
import * as v from "valibot";
import { nodeHeader, type Outcome, Problem, type ProblemCode, problemCodes } from "../http/wire.ts";
import { concat } from "./bytes.ts";
import { ClientError, type ClientErrorCode } from "./error.ts";

/** The part of `fetch` that is used. */
export type ClientFetch = (url: string, init: RequestInit) => Promise<Response>;

/** A request, as it is sent. */
export interface Request {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** Path and query. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/** A successful answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
  /** The endpoint that gave it. */
  readonly endpoint: string;
}

/** Where and how a request is sent. */
export interface AttemptOptions {
  readonly fetch: ClientFetch;
  readonly endpoint: string;
  /** Whether the endpoint has answered before: a refused connection to it may hide a first attempt that got through. */
  readonly isMet: boolean;
  readonly isRead: boolean;
  /** By then it has ended, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** A page of values, base64 and JSON around it; a value is smaller. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** Sends a request, and reads the answer. @throws {ClientError} */
export async function attempt(request: Request, options: AttemptOptions): Promise<Answer> {
  const { endpoint, timeoutMs, signal } = options;
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    abort.abort();
  }, Math.max(1, timeoutMs));
  signal.addEventListener("abort", stop);
  if (signal.aborted) abort.abort();
  try {
    const response = await open(request, options, abort.signal);
    const body = await readBounded(response);
    return checked({ status: response.status, headers: response.headers, body, endpoint }, options);
  } catch (error) {
    if (error instanceof ClientError) throw error;
    throw failed(error, options, isLate);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    abort.abort();
  }
}

/** Sends a request; the answer's body is not read yet. Throws what `fetch` throws. */
export function open(
  { method, target, headers, body }: Request,
  { fetch, endpoint }: Pick<AttemptOptions, "fetch" | "endpoint">,
  signal: AbortSignal,
): Promise<Response> {
  return fetch(`${endpoint}${target}`, {
    method,
    headers: { ...headers },
    ...(body === undefined ? {} : { body: body.slice() }),
    // Not all Workers know "error"; an answer that redirects is no node's.
    redirect: "manual",
    signal,
  });
}

/** What `fetch` threw, as what it says about the request. */
export function failed(
  error: unknown,
  { endpoint, isMet, isRead, signal }: Omit<AttemptOptions, "fetch" | "timeoutMs">,
  isLate: boolean,
): ClientError {
  if (signal.aborted) {
    return new ClientError("aborted", {
      code: "aborted",
      status: null,
      outcome: isRead ? null : "unknown",
      cause: signal.reason,
    });
  }
  const isUnsent = !isLate && isRefusal(error, isMet);
  return new ClientError(`${endpoint}: ${isLate ? "no answer in time" : describe(error)}`, {
    code: isUnsent ? "unreachable" : "no_answer",
    status: null,
    outcome: isRead ? null : isUnsent ? "not_applied" : "unknown",
    cause: error,
  });
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

/** All of an answer's body. */
export async function readBounded(response: Response): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  while (reader !== undefined) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > ANSWER_BYTES_MAX) throw new Error(`an answer of over ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(value);
  }
  const [only = new Uint8Array()] = chunks;
  return chunks.length < 2 ? only : concat(chunks);
}

/** Lets success pass. @throws {ClientError} */
function checked(answer: Answer, { isRead }: Pick<AttemptOptions, "isRead">): Answer {
  const { status, headers } = answer;
  if (status >= 200 && status < 300 && headers.has(nodeHeader)) return answer;
  throw problemIn(answer, { isRead });
}

/** An answer that is not a success, as an error. */
export function problemIn(
  { status, headers, body, endpoint }: Answer,
  { isRead }: Pick<AttemptOptions, "isRead">,
): ClientError {
  const problem = readProblem(body);
  const byStatus: Outcome = status >= 400 && status < 500 ? "not_applied" : "unknown";
  const fields = { status, outcome: isRead ? null : problem?.outcome ?? byStatus };
  const { code } = problem ?? {};
  if (!headers.has(nodeHeader) || !isKnownCode(code)) {
    return new ClientError(
      `${endpoint} answered ${status} as no Holdfast node would: is it one?`,
      // Whoever answered may have handed it on before.
      { status, outcome: isRead ? null : "unknown", code: "bad_answer" satisfies ClientErrorCode },
    );
  }
  const inTag = revisionOf(headers) ?? (code === "precondition_failed" ? 0 : null);
  const { revision = inTag, oldest = null, detail } = problem ?? {};
  return new ClientError(detail ?? code, { ...fields, code, revision, oldest });
}

/** Whether `code` is one of a node's. */
export function isKnownCode(code: string | undefined): code is ProblemCode {
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
