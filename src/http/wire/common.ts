/** What all answers have in common: their headers, their types, and what errors say. */
import * as v from "valibot";

/** Headers that every answer carries, in the lower case of HTTP/2. */
export const nodeHeader = "holdfast-node";
export const revisionHeader = "holdfast-revision";
export const termHeader = "holdfast-term";
/** On a stale read: how old the state was at most, in whole milliseconds. */
export const stalenessHeader = "holdfast-staleness-ms";
/** Of a key, with `GET`, `HEAD` and `PUT`: its metadata, base64 (RFC 4648, section 4). */
export const metadataHeader = "holdfast-metadata";
/** Of a key with a time to live: what is left of it, in whole milliseconds. */
export const ttlHeader = "holdfast-ttl-ms";
/** Of a key that is tied to a lease: the lease's id. */
export const leaseHeader = "holdfast-lease";
/** On a write that is to take effect once: 1–64 printable ASCII characters. */
export const idempotencyHeader = "idempotency-key";
/**
 * Beside it, for a client that numbers its writes, `7;done=5`: which of them this is, and below which number it has all
 * answers. The key is then the client's, and not the request's.
 */
export const sequenceHeader = "holdfast-sequence";

export const jsonType = "application/json";
export const problemType = "application/problem+json";
export const cborType = "application/cbor";

/** A whole number that a `number` holds exactly. */
export const count: v.GenericSchema<unknown, number> = v.pipe(
  v.number(),
  v.safeInteger(),
  v.minValue(0),
);

/** Every `code` of a problem, and the status it comes with (`no_such_route` also with 405). */
export const problemCodes = {
  bad_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  no_such_route: 404,
  change_in_progress: 409,
  compacted: 410,
  request_timeout: 408,
  precondition_failed: 412,
  too_large: 413,
  idempotency_mismatch: 422,
  overloaded: 429,
  internal: 500,
  no_leader: 503,
  not_ready: 503,
  too_stale: 503,
  outcome_unknown: 504,
} as const;
export type ProblemCode = keyof typeof problemCodes;

/** What became of a write that was not answered with 2xx. */
export type Outcome = "not_applied" | "unknown";

/** RFC 9457. Further members say more, such as `checks`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly outcome?: Outcome | undefined;
  /** With `precondition_failed`: the revision that the key is at, 0 where it is absent; null where none alone failed. */
  readonly revision?: number | null | undefined;
  /** With `compacted`: the oldest revision that can still be read, and watched from. */
  readonly oldest?: number | undefined;
  /** With `too_large`: what there may be at most. */
  readonly limit?: number | undefined;
}
export const Problem: v.GenericSchema<unknown, Problem> = v.object({
  type: v.string(),
  title: v.string(),
  status: v.number(),
  detail: v.string(),
  code: v.string(),
  outcome: v.optional(v.picklist(["not_applied", "unknown"])),
  revision: v.optional(v.nullable(count)),
  oldest: v.optional(count),
  limit: v.optional(count),
});

/** Text, or in CBOR bytes. */
export const bytes: v.GenericSchema<unknown, string | Uint8Array> = v.union(
  [v.string(), v.instance(Uint8Array)],
  "takes text, or in CBOR a byte string",
);
/** Says that a string is not text. */
export const base64Mark: v.GenericSchema<unknown, "base64"> = v.literal("base64");

/** An amount and a unit: `500ms`, `30s`, `5m`, `1h`, `7d`. */
export const duration: v.GenericSchema<unknown, string> = v.pipe(
  v.string(),
  v.regex(/^\d{1,9}(ms|[smhd])$/, "takes a duration, like 500ms or 30s"),
);

/** A lease's id. */
export const leaseId: v.GenericSchema<unknown, string> = v.pipe(
  v.string(),
  v.regex(/^[1-9]\d{0,15}$/, "takes the id of a lease, a string of digits"),
);

/** In the metadata of a schema that decides by its input: the schemas that it decides between. */
export const choicesOf = "oneOf";

/** The one of `choices` whose name is a member of the input. (A union would complain about all of them.) */
export function named<T>(
  choices: Readonly<Record<string, v.GenericSchema<unknown, T>>>,
): v.GenericSchema<unknown, T> {
  const byName = new Map(Object.entries(choices));
  const none = v.never(`takes an object with one of ${[...byName.keys()].join(", ")}`);
  const chosen = v.lazy((input): v.GenericSchema<unknown, T> => {
    if (typeof input !== "object" || input === null) return none;
    const name = Object.keys(input).find((member) => byName.has(member));
    return (name === undefined ? undefined : byName.get(name)) ?? none;
  });
  return v.pipe(chosen, v.metadata({ [choicesOf]: [...byName.values()] }));
}

/** An array that is counted before what is in it is looked at: there may be millions of them. */
export function upTo<T>(
  itemsMax: number,
  item: v.GenericSchema<unknown, T>,
): v.GenericSchema<unknown, T[]> {
  const items = v.array(item);
  const tooMany = v.never(`takes at most ${itemsMax}`);
  const counted = v.lazy((input): v.GenericSchema<unknown, T[]> =>
    Array.isArray(input) && input.length > itemsMax ? tooMany : items
  );
  return v.pipe(
    counted,
    v.metadata({ [choicesOf]: [v.pipe(v.array(item), v.maxLength(itemsMax))] }),
  );
}
