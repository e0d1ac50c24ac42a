/** The cluster: its status, who leads, who takes part. */
import * as v from "valibot";
import { memberUrlSchema } from "../../config/member-url.ts";
import { MEMBERS_MAX } from "../../raft/membership.ts";
import { choicesOf, count } from "./common.ts";

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
  /** The cluster's version that it was last heard to speak; missing where this node has not heard it. */
  readonly speaks?: number | undefined;
}
const MemberAnswer: v.GenericSchema<unknown, MemberAnswer> = v.object({
  id: v.string(),
  url: v.string(),
  voter: v.boolean(),
  match: v.nullable(count),
  lagMs: v.nullable(count),
  waiting: v.optional(v.literal(true)),
  speaks: v.optional(count),
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

/** The disk that a node is on, in bytes. */
export interface DiskAnswer {
  readonly free: number;
  /** With less than this the node is read-only. */
  readonly wanted: number;
  readonly readOnly: boolean;
}
const DiskAnswer: v.GenericSchema<unknown, DiskAnswer> = v.object({
  free: count,
  wanted: count,
  readOnly: v.boolean(),
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
  /** Of the software. */
  readonly version: string;
  /** What all members know, as far as was applied here; an older node doesn't tell. */
  readonly clusterVersion?: number | undefined;
  /** Null where nobody looks at it: in memory, or with `--disk-reserve 0`. */
  readonly disk?: DiskAnswer | null | undefined;
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
  clusterVersion: v.optional(count),
  disk: v.optional(v.nullable(DiskAnswer)),
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
const MemberSeat: v.GenericSchema<unknown, MemberSeat> = v.pipe(
  v.lazy((seat): v.GenericSchema<unknown, MemberSeat> =>
    typeof seat === "object" ? NewMember : memberId
  ),
  v.metadata({ [choicesOf]: [memberId, NewMember] }),
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
