/** What a call may end in, other than its answer. */
import type { Outcome, ProblemCode } from "../http/wire.ts";

/** `code` of a {@link ClientError}: the server's, or one of this side's own. */
export type ClientErrorCode =
  | ProblemCode
  /** No connection came about: nothing was sent. */
  | "unreachable"
  /** The connection broke, or no answer came in time. */
  | "no_answer"
  /** The answer is not one that a Holdfast node gives. */
  | "bad_answer"
  /** The caller's `AbortSignal`, whose reason is the `cause`. */
  | "aborted";

/** What is known of a failure. */
export interface ClientErrorFields {
  readonly code: ClientErrorCode;
  readonly status: number | null;
  readonly outcome: Outcome | null;
  readonly revision?: number | null;
  readonly oldest?: number | null;
  readonly cause?: unknown;
}

/** A call that was not answered with success. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly code: ClientErrorCode;
  /** The HTTP status, or null where there was no answer. */
  readonly status: number | null;
  /** What became of the write; null for a read. Of all attempts together: one that is unknown makes it so. */
  readonly outcome: Outcome | null;
  /** The key's revision where a condition failed; 0 where the key is absent. */
  readonly revision: number | null;
  /** With `compacted`: the oldest revision that can still be read, and watched from. */
  readonly oldest: number | null;

  constructor(message: string, fields: ClientErrorFields) {
    super(message, { cause: fields.cause });
    this.code = fields.code;
    this.status = fields.status;
    this.outcome = fields.outcome;
    this.revision = fields.revision ?? null;
    this.oldest = fields.oldest ?? null;
  }
}

const passing: ReadonlySet<ClientErrorCode> = new Set([
  "unreachable",
  "no_answer",
  "no_leader",
  "not_ready",
  "overloaded",
  "too_stale",
  "request_timeout",
  "outcome_unknown",
]);

/** Whether the same request may well succeed later, or elsewhere. */
export function isPassing(error: ClientError): boolean {
  return passing.has(error.code);
}
