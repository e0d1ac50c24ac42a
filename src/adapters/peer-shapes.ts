/** The shapes of peer messages, for valibot. Strict: a field that is not named here is an error. */
import * as v from "valibot";
import type {
  ForwardReply,
  ManageReply,
  ManageRequest,
  SnapshotChunk,
  SnapshotChunkReply,
} from "../ports.ts";
import { decodeConfiguration, MEMBERS_MAX } from "../raft/membership.ts";
import { PRIORITY_MAX } from "../raft/priority.ts";
import type { Configuration } from "../raft/types.ts";
import type { Append, ReplyMessage, RequestMessage } from "../raft/message.ts";

type Shape<Output> = v.GenericSchema<unknown, Output>;
type Of<Union extends { readonly type: string }, Type extends Union["type"]> = Extract<
  Union,
  { readonly type: Type }
>;

/** Ten minutes; no sender waits longer. */
const FORWARD_TIMEOUT_MS_MAX = 600_000;

const nodeId = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9._-]{1,64}$/, "not a node id: 1–64 of A-Z a-z 0-9 . _ -"),
);
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const crc = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffff_ffff));
const bytes = v.instance(Uint8Array);

const header = { from: nodeId, to: nodeId, term: count, id: count };

/** As a log entry spells it: see `raft/membership.ts`. */
const configuration = v.pipe(
  v.instance(Uint8Array),
  v.transform((payload): Configuration => decodeConfiguration(payload)),
);
const meta = v.strictObject({ index: count, term: count, crc, configuration });

/** As it travels: `entries` are records, still to be decoded. */
export const appendShape: Shape<Omit<Append, "entries"> & { readonly entries: Uint8Array }> = v
  .strictObject({
    type: v.literal("append"),
    ...header,
    previousIndex: count,
    previousTerm: count,
    previousCrc: crc,
    commit: count,
    entries: bytes,
  });

const lastEntry = { lastIndex: count, lastTerm: count };

/** The shape of each request but `append`. */
export const requestShapes: {
  readonly [Type in Exclude<RequestMessage["type"], "append">]: Shape<Of<RequestMessage, Type>>;
} = {
  preVote: v.strictObject({ type: v.literal("preVote"), ...header, ...lastEntry }),
  vote: v.strictObject({
    type: v.literal("vote"),
    ...header,
    ...lastEntry,
    transfer: v.boolean(),
  }),
  heartbeat: v.strictObject({
    type: v.literal("heartbeat"),
    ...header,
    commit: count,
    round: count,
    acknowledged: count,
    leaderCommit: count,
    ageMs: v.pipe(v.number(), v.finite(), v.minValue(0)),
  }),
  installSnapshot: v.strictObject({ type: v.literal("installSnapshot"), ...header, meta }),
  timeoutNow: v.strictObject({ type: v.literal("timeoutNow"), ...header }),
  readIndex: v.strictObject({
    type: v.literal("readIndex"),
    ...header,
    level: v.picklist(["linearizable", "lease"]),
  }),
};

/** The shape of the reply to each request. */
export const replyShapes: {
  readonly [Type in RequestMessage["type"]]: Shape<Of<ReplyMessage, `${Type}Reply`>>;
} = {
  preVote: v.strictObject({ type: v.literal("preVoteReply"), ...header, granted: v.boolean() }),
  vote: v.strictObject({ type: v.literal("voteReply"), ...header, granted: v.boolean() }),
  append: v.strictObject({
    type: v.literal("appendReply"),
    ...header,
    success: v.boolean(),
    match: count,
    rejectedIndex: count,
    conflictTerm: count,
    conflictIndex: count,
  }),
  heartbeat: v.strictObject({
    type: v.literal("heartbeatReply"),
    ...header,
    round: count,
    priority: v.optional(v.pipe(count, v.maxValue(PRIORITY_MAX))),
    room: v.optional(v.picklist(["short", "full"])),
  }),
  installSnapshot: v.strictObject({
    type: v.literal("installSnapshotReply"),
    ...header,
    success: v.boolean(),
    match: count,
  }),
  timeoutNow: v.strictObject({ type: v.literal("timeoutNowReply"), ...header }),
  readIndex: v.strictObject({
    type: v.literal("readIndexReply"),
    ...header,
    index: v.nullable(count),
    indexTerm: count,
  }),
};

export const forwardShape: Shape<{ readonly timeoutMs: number; readonly command: Uint8Array }> = v
  .strictObject({
    timeoutMs: v.pipe(v.number(), v.minValue(0), v.maxValue(FORWARD_TIMEOUT_MS_MAX)),
    command: bytes,
  });

export const forwardReplyShape: Shape<ForwardReply> = v.variant("type", [
  v.strictObject({ type: v.literal("applied"), index: count, term: count, result: bytes }),
  v.strictObject({
    type: v.literal("notApplied"),
    reason: v.picklist(["no_leader", "not_ready", "overloaded"]),
  }),
  v.strictObject({ type: v.literal("unknown") }),
]);

const URL_LENGTH_MAX = 2048;
const url = v.pipe(v.string(), v.maxLength(URL_LENGTH_MAX));
const members = v.pipe(
  v.array(v.strictObject({ id: nodeId, url: v.nullable(url) })),
  v.maxLength(MEMBERS_MAX),
);

export const manageShape: Shape<
  { readonly timeoutMs: number; readonly request: ManageRequest }
> = v.strictObject({
  timeoutMs: v.pipe(v.number(), v.minValue(0), v.maxValue(FORWARD_TIMEOUT_MS_MAX)),
  request: v.variant("type", [
    v.strictObject({ type: v.literal("add"), id: nodeId, url, voter: v.boolean() }),
    v.strictObject({ type: v.literal("replace"), id: nodeId, url, replaces: nodeId }),
    v.strictObject({ type: v.literal("remove"), id: nodeId }),
    v.strictObject({ type: v.literal("set"), voters: members, learners: members }),
    v.strictObject({ type: v.literal("transfer"), target: v.nullable(nodeId) }),
  ]),
});

/** Of why a change was refused; the rest is cut off. */
export const DETAIL_CHARACTERS_MAX = 2048;
const detail = v.pipe(v.string(), v.maxLength(DETAIL_CHARACTERS_MAX));
export const manageReplyShape: Shape<ManageReply> = v.variant("type", [
  v.strictObject({ type: v.literal("members"), configuration, changing: v.boolean() }),
  v.strictObject({ type: v.literal("transferred"), leader: nodeId }),
  v.strictObject({
    type: v.literal("refused"),
    code: v.picklist(["bad_request", "not_found", "change_in_progress"]),
    detail,
  }),
  v.strictObject({
    type: v.literal("notApplied"),
    reason: v.picklist(["no_leader", "not_ready", "overloaded"]),
    detail,
  }),
  v.strictObject({ type: v.literal("unknown") }),
]);

export const chunkShape: Shape<SnapshotChunk> = v.strictObject({
  from: nodeId,
  to: nodeId,
  term: count,
  index: count,
  snapshotTerm: count,
  size: count,
  offset: count,
  bytes,
});

export const chunkReplyShape: Shape<SnapshotChunkReply> = v.strictObject({
  offset: count,
  refused: v.boolean(),
});
