/**
 * What the HTTP interface says, as shapes: shared by the server, which writes them, and the client, which checks them.
 *
 * **Bytes in JSON.** Keys and values are bytes. Where both are UTF-8 an item shows them as text. Else it carries
 * `"encoding":"base64"`, and then its value is base64; its key is base64 too where the key is not UTF-8, which
 * `"keyEncoding":"base64"` says. (So `keyEncoding` never comes alone, and a key that can be read is never hidden.)
 * In CBOR both are byte strings, and neither member appears.
 */
import * as v from "valibot";
import { memberUrlSchema } from "../config/member-url.ts";
import { MEMBERS_MAX } from "../raft/membership.ts";

/** Headers that every answer carries, in the lower case of HTTP/2. */
export const nodeHeader = "holdfast-node";
export const revisionHeader = "holdfast-revision";
export const termHeader = "holdfast-term";
/** On a stale read: how old the state was at most, in whole milliseconds. */
export const stalenessHeader = "holdfast-staleness-ms";

export const jsonType = "application/json";
export const problemType = "application/problem+json";
export const cborType = "application/cbor";

/** Every `code` of a problem, and the status it comes with (`no_such_route` also with 405). */
export const problemCodes = {
  bad_request: 400,
  unauthenticated: 401,
  not_found: 404,
  no_such_route: 404,
  change_in_progress: 409,
  request_timeout: 408,
  precondition_failed: 412,
  too_large: 413,
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

/** RFC 9457. Further members say more: `limit`, `revision`, `checks`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly outcome?: Outcome | undefined;
}
export const Problem: v.GenericSchema<unknown, Problem> = v.object({
  type: v.string(),
  title: v.string(),
  status: v.number(),
  detail: v.string(),
  code: v.string(),
  outcome: v.optional(v.picklist(["not_applied", "unknown"])),
});

const count: v.GenericSchema<unknown, number> = v.pipe(
  v.number(),
  v.safeInteger(),
  v.minValue(0),
);

export interface PutAnswer {
  readonly revision: number;
  readonly version: number;
}
export const PutAnswer: v.GenericSchema<unknown, PutAnswer> = v.object({
  revision: count,
  version: count,
});

export interface DeleteAnswer {
  readonly revision: number;
  readonly deleted: number;
}
export const DeleteAnswer: v.GenericSchema<unknown, DeleteAnswer> = v.object({
  revision: count,
  deleted: count,
});

/** An item of a listing. `value` is left out with `values=false`. */
export interface ItemAnswer {
  readonly key: string | Uint8Array;
  readonly value?: string | Uint8Array | undefined;
  readonly encoding?: "base64" | undefined;
  readonly keyEncoding?: "base64" | undefined;
  readonly revision: number;
  readonly created: number;
  readonly version: number;
  readonly contentType: string;
}
const text = v.union([v.string(), v.instance(Uint8Array)]);
const ItemAnswer: v.GenericSchema<unknown, ItemAnswer> = v.object({
  key: text,
  value: v.optional(text),
  encoding: v.optional(v.literal("base64")),
  keyEncoding: v.optional(v.literal("base64")),
  revision: count,
  created: count,
  version: count,
  contentType: v.string(),
});

export interface ListAnswer {
  readonly revision: number;
  readonly items: readonly ItemAnswer[];
  /** Opaque; only where more follows. */
  readonly cursor?: string | undefined;
}
export const ListAnswer: v.GenericSchema<unknown, ListAnswer> = v.object({
  revision: count,
  items: v.array(ItemAnswer),
  cursor: v.optional(v.string()),
});

export interface MemberAnswer {
  readonly id: string;
  readonly url: string;
  /** Whether it votes; while a change is joint, in either half. */
  readonly voter: boolean;
  /** The last index known to be durable there and equal to the leader's; null where this node can't tell. */
  readonly match: number | null;
  /** On a leader: since it last heard from the member. Of a follower itself: how old its state is at most. Else null. */
  readonly lagMs: number | null;
  /** A learner that becomes a voter once it has caught up. */
  readonly waiting?: true | undefined;
}
const MemberAnswer: v.GenericSchema<unknown, MemberAnswer> = v.object({
  id: v.string(),
  url: v.string(),
  voter: v.boolean(),
  match: v.nullable(count),
  lagMs: v.nullable(count),
  waiting: v.optional(v.literal(true)),
});

/** What a change under way ends in, by ids. */
export interface ChangeAnswer {
  readonly voters: readonly string[];
  readonly learners: readonly string[];
}
const ChangeAnswer: v.GenericSchema<unknown, ChangeAnswer> = v.object({
  voters: v.array(v.string()),
  learners: v.array(v.string()),
});

export interface StatusAnswer {
  readonly id: string;
  readonly clusterId: string;
  readonly role: string;
  readonly term: number;
  readonly leader: string | null;
  readonly commit: number;
  readonly applied: number;
  readonly lastLog: number;
  readonly snapshot: number;
  readonly revision: number;
  readonly runtime: string;
  readonly version: string;
  readonly members: readonly MemberAnswer[];
  /** Null where none is under way; an older node doesn't tell. */
  readonly change?: ChangeAnswer | null | undefined;
}
export const StatusAnswer: v.GenericSchema<unknown, StatusAnswer> = v.object({
  id: v.string(),
  clusterId: v.string(),
  role: v.string(),
  term: count,
  leader: v.nullable(v.string()),
  commit: count,
  applied: count,
  lastLog: count,
  snapshot: count,
  revision: count,
  runtime: v.string(),
  version: v.string(),
  members: v.array(MemberAnswer),
  change: v.optional(v.nullable(ChangeAnswer)),
});

/** `GET` and `PUT /v1/members`. */
export interface MembersAnswer {
  readonly members: readonly MemberAnswer[];
  readonly change: ChangeAnswer | null;
  /** Where a change was asked for and is not over, or ended in something else: why. */
  readonly detail?: string | undefined;
}
export const MembersAnswer: v.GenericSchema<unknown, MembersAnswer> = v.object({
  members: v.array(MemberAnswer),
  change: v.nullable(ChangeAnswer),
  detail: v.optional(v.string()),
});

/** `POST /v1/members`. */
export interface AddMemberAnswer {
  readonly id: string;
  readonly url: string;
  readonly voter: boolean;
  /** With 202: why it isn't over. */
  readonly detail?: string | undefined;
}
export const AddMemberAnswer: v.GenericSchema<unknown, AddMemberAnswer> = v.object({
  id: v.string(),
  url: v.string(),
  voter: v.boolean(),
  detail: v.optional(v.string()),
});

/** `DELETE /v1/members/{id}`: `removed` with 200, `removing` and `detail` with 202. */
export interface RemoveMemberAnswer {
  readonly removed?: string | undefined;
  readonly removing?: string | undefined;
  readonly detail?: string | undefined;
}
export const RemoveMemberAnswer: v.GenericSchema<unknown, RemoveMemberAnswer> = v.object({
  removed: v.optional(v.string()),
  removing: v.optional(v.string()),
  detail: v.optional(v.string()),
});

/** What an id is. */
export const memberId: v.GenericSchema<unknown, string> = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9._-]{1,64}$/, "an id takes 1–64 of A-Z a-z 0-9 . _ -"),
);

/** The body of `POST /v1/members`. Unknown names are refused: a misspelled `voter` would change what it means. */
export interface AddMemberRequest {
  readonly id: string;
  readonly url: string;
  readonly voter?: boolean | undefined;
  /** Whose place and role it takes, in the same change; `voter` is not said then. */
  readonly replaces?: string | undefined;
}
export const AddMemberRequest: v.GenericSchema<unknown, AddMemberRequest> = v.strictObject({
  id: memberId,
  url: memberUrlSchema,
  voter: v.optional(v.boolean()),
  replaces: v.optional(memberId),
});

/** A member by the URL it is known by, or a new one. */
export type MemberSeat = string | { readonly id: string; readonly url: string };
const NewMember = v.strictObject({ id: memberId, url: memberUrlSchema });
// Not a union, whose complaint would be about both.
const MemberSeat: v.GenericSchema<unknown, MemberSeat> = v.lazy((seat) =>
  typeof seat === "object" ? NewMember : memberId
);

/** The body of `PUT /v1/members`: all who are to be left. Without `learners` there are none. */
export interface SetMembersRequest {
  readonly voters: readonly MemberSeat[];
  readonly learners?: readonly MemberSeat[] | undefined;
}
const seats = v.pipe(v.array(MemberSeat), v.maxLength(MEMBERS_MAX));
export const SetMembersRequest: v.GenericSchema<unknown, SetMembersRequest> = v.strictObject({
  voters: seats,
  learners: v.optional(seats),
});

/** The body of `PUT /v1/leader`; null stands for the voter that needs the least to lead. */
export interface LeaderRequest {
  readonly id: string | null;
}
export const LeaderRequest: v.GenericSchema<unknown, LeaderRequest> = v.object({
  id: v.nullable(memberId),
});

/** `PUT /v1/leader`. */
export interface LeaderAnswer {
  readonly leader: string;
}
export const LeaderAnswer: v.GenericSchema<unknown, LeaderAnswer> = v.object({
  leader: v.string(),
});
