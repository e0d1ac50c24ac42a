/** `/v1/leases`. Ids are strings of digits. */
import * as v from "valibot";
import { base64Mark, bytes, count, duration } from "./common.ts";

/** The body of `POST /v1/leases`. */
export interface GrantRequest {
  /** A duration, like `30s`. */
  readonly ttl: string;
}
export const GrantRequest: v.GenericSchema<unknown, GrantRequest> = v.strictObject({
  ttl: duration,
});

/** A lease was granted (201), or kept alive (200): it ends so long from then. */
export interface LeaseAnswer {
  readonly id: string;
  readonly ttlMs: number;
}
export const LeaseAnswer: v.GenericSchema<unknown, LeaseAnswer> = v.object({
  id: v.string(),
  ttlMs: count,
});

/** As this node knows it. */
export interface LeaseStatus extends LeaseAnswer {
  /** Until it ends, unless it is kept alive. */
  readonly remainingMs: number;
}
const leaseStatusEntries = { id: v.string(), ttlMs: count, remainingMs: count };

/** `GET /v1/leases/{id}`. */
export interface LeaseDetailAnswer extends LeaseStatus {
  /** How many keys are tied to it. */
  readonly keyCount: number;
  /** The first thousand of them, in order. */
  readonly keys: readonly (string | Uint8Array)[];
  /** Says that all of `keys` are base64, because one of them is not UTF-8. */
  readonly keyEncoding?: "base64" | undefined;
}
export const LeaseDetailAnswer: v.GenericSchema<unknown, LeaseDetailAnswer> = v.object({
  ...leaseStatusEntries,
  keyCount: count,
  keys: v.array(bytes),
  keyEncoding: v.optional(base64Mark),
});

/** `GET /v1/leases`: a page of them, by id. */
export interface LeaseListAnswer {
  readonly revision: number;
  readonly leases: readonly LeaseStatus[];
  /** Opaque; only where more follows. */
  readonly cursor?: string | undefined;
}
export const LeaseListAnswer: v.GenericSchema<unknown, LeaseListAnswer> = v.object({
  revision: count,
  leases: v.array(v.object(leaseStatusEntries)),
  cursor: v.optional(v.string()),
});
