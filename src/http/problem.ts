/** Errors as answers: `application/problem+json` (RFC 9457), and for writes a truthful `outcome`. */
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { InvariantViolation } from "../assert.ts";
import { ChangeRefused, NotApplied, OutcomeUnknown, TooStale } from "../errors.ts";
import { type Outcome, type Problem, type ProblemCode, problemCodes, problemType } from "./wire.ts";

const titles: Readonly<Record<ProblemCode, string>> = {
  bad_request: "Bad request",
  unauthenticated: "Unauthenticated",
  forbidden: "Forbidden",
  not_found: "Not found",
  no_such_route: "No such route",
  change_in_progress: "Another change of membership is under way",
  compacted: "Compacted",
  request_timeout: "The body came too slowly",
  precondition_failed: "The condition does not hold",
  too_large: "Too large",
  idempotency_mismatch: "The idempotency key was used for something else",
  overloaded: "Overloaded",
  internal: "A defect",
  no_leader: "No leader",
  not_ready: "Not ready",
  too_stale: "Too stale",
  outcome_unknown: "Outcome unknown",
};

/** What has to be said of requests that are refused as overloaded: which bound they met. See README.md. */
export const bounds = [
  "open_requests",
  "admission_delay",
  "arriving_bytes",
  "watchers",
  "idempotency_keys",
  "leases",
  /** The replica's: what is uncommitted or not applied yet, how long that takes, what is on its way to the leader. */
  "log",
] as const;
export type Bound = typeof bounds[number];

/** What a {@link Refusal} says besides code and detail. */
export interface RefusalExtra {
  /** Where it is not the code's own. */
  readonly status?: number;
  /** What became of a write, where the status does not say it. */
  readonly outcome?: Outcome;
  /** Of `overloaded`. */
  readonly bound?: Bound;
  /** When to come again, in seconds, where that is not soon. */
  readonly retryAfter?: number;
  /** Further members of the problem. */
  readonly members?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** The store's revision that this answer reflects, where it is not the newest one here. */
  readonly revision?: number;
}

/** Thrown by a handler, answered as a problem. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: ProblemCode;
  readonly extra: RefusalExtra;
  constructor(code: ProblemCode, detail: string, extra: RefusalExtra = {}) {
    super(detail);
    this.code = code;
    this.extra = extra;
  }
}

/** 400: `detail` says what is wrong, and where. */
export function badRequest(detail: string): Refusal {
  return new Refusal("bad_request", detail);
}

/** 413, with the limit in bytes. */
export function tooLarge(what: string, limit: number): Refusal {
  return new Refusal("too_large", `${what} is over ${limit} bytes`, { members: { limit } });
}

/** 401, for whoever has no token. */
export function unauthenticated(detail: string): Refusal {
  return new Refusal("unauthenticated", detail, {
    headers: { "www-authenticate": 'Bearer realm="holdfast"' },
  });
}

/** 401. Which part of a token is wrong nobody is told. */
export function unknownToken(revision?: number): Refusal {
  return new Refusal("unauthenticated", "the token is not one of this cluster's", {
    ...(revision === undefined ? {} : { revision }),
    headers: { "www-authenticate": 'Bearer realm="holdfast", error="invalid_token"' },
  });
}

/** 403. What a token may do `GET /v1/access/self` says. */
export function forbidden(revision?: number): Refusal {
  return new Refusal("forbidden", "the token's roles don't allow it", {
    ...(revision === undefined ? {} : { revision }),
  });
}

/** What `error` is as an answer. A defect's text stays in the log. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof NotApplied) return new Refusal(error.reason, error.message);
  if (error instanceof ChangeRefused) return new Refusal(error.code, error.message);
  if (error instanceof OutcomeUnknown) return new Refusal("outcome_unknown", error.message);
  if (error instanceof TooStale) return new Refusal("too_stale", error.message);
  const detail = error instanceof InvariantViolation
    ? "an invariant is broken: this node stops"
    : "a defect: this node's log has the rest";
  return new Refusal("internal", detail);
}

/** How a refusal reads to the client whose request it answers. */
export interface ProblemAnswer {
  readonly status: number;
  readonly body: Problem;
  readonly headers: Readonly<Record<string, string>>;
}

/** A write's `outcome`: 4xx and 503 refuse before anything is proposed, of all else nobody can be sure. */
export function problemOf(refusal: Refusal, method: string): ProblemAnswer {
  const { code, extra } = refusal;
  const status = extra.status ?? problemCodes[code];
  const isRead = method === "GET" || method === "HEAD";
  const certain = status < 500 || status === 503;
  const outcome = extra.outcome ?? (certain ? "not_applied" : "unknown");
  const body = {
    type: `urn:holdfast:problem:${code}`,
    title: titles[code],
    status,
    detail: refusal.message,
    code,
    ...(isRead ? {} : { outcome }),
    ...extra.members,
  };
  const headers = status === 429 || status === 503
    ? { "retry-after": String(extra.retryAfter ?? 1), ...extra.headers }
    : extra.headers ?? {};
  return { status, body, headers };
}

/** A problem where there is no exchange with a client: what peers are answered. It has no `outcome`. */
export function problem(
  c: Context,
  status: ContentfulStatusCode,
  code: ProblemCode,
  { detail, headers: given }: {
    readonly detail: string;
    readonly headers: Readonly<Record<string, string>>;
  },
): Response {
  const { body, headers } = problemOf(new Refusal(code, detail, { status, headers: given }), "GET");
  return c.body(JSON.stringify(body), status, { ...headers, "content-type": problemType });
}
