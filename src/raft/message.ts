/**
 * What nodes say to each other. Every request gets exactly one reply, which travels as the HTTP response to it
 * and repeats its `id`; a reply therefore never outlives the process that asked.
 */
import type {
  Entry,
  Index,
  Millis,
  NodeId,
  ReadLevel,
  RequestId,
  SnapshotMeta,
  Term,
} from "./types.ts";

interface Header {
  readonly from: NodeId;
  readonly to: NodeId;
  /** The sender's term; in `preVote` and in a granted `preVoteReply`, the term that the candidate would campaign in. */
  readonly term: Term;
  /** Chosen by the requester, unique among its requests; a reply carries its request's. */
  readonly id: RequestId;
}

/** Asks whether an election could be won, without touching anybody's term (thesis 9.6). */
export interface PreVote extends Header {
  readonly type: "preVote";
  readonly lastIndex: Index;
  readonly lastTerm: Term;
}
export interface PreVoteReply extends Header {
  readonly type: "preVoteReply";
  readonly granted: boolean;
}

/** RequestVote (thesis 3.4). `transfer` skips the stickiness of votes: the leader itself asked for this election. */
export interface Vote extends Header {
  readonly type: "vote";
  readonly lastIndex: Index;
  readonly lastTerm: Term;
  readonly transfer: boolean;
}
export interface VoteReply extends Header {
  readonly type: "voteReply";
  readonly granted: boolean;
}

/** AppendEntries (thesis 3.5). `previousCrc` is the chain CRC at `previousIndex`; entries follow without a gap. */
export interface Append extends Header {
  readonly type: "append";
  readonly previousIndex: Index;
  readonly previousTerm: Term;
  readonly previousCrc: number;
  readonly commit: Index;
  readonly entries: readonly Entry[];
}
/**
 * On success `match` is the last index that is now known to agree with the leader's log and durable. On a rejection
 * `conflictTerm` is the term of the follower's entry at `previousIndex` (0 where it has none), and `conflictIndex` the
 * first index that it holds of that term, or one past its log's end.
 */
export interface AppendReply extends Header {
  readonly type: "appendReply";
  readonly success: boolean;
  readonly match: Index;
  readonly rejectedIndex: Index;
  readonly conflictTerm: Term;
  readonly conflictIndex: Index;
}

/**
 * Keeps the leader in office, confirms reads of `round`, and carries min(match, commit). The rest tells the receiver
 * how fresh its state is (see `freshness.ts`): the last round that its answer came for (0: none, or the leader is not
 * certain of its commit yet), the leader's own commit, and how long ago, in milliseconds, the last confirmed round left.
 */
export interface Heartbeat extends Header {
  readonly type: "heartbeat";
  readonly commit: Index;
  readonly round: number;
  readonly acknowledged: number;
  readonly leaderCommit: Index;
  readonly ageMs: Millis;
}
/**
 * `round` as in the request; 0 where the sender leads no more. `priority` is the sender's, where that is not 0; `room`
 * what its disk has left, where that is not enough.
 */
export interface HeartbeatReply extends Header {
  readonly type: "heartbeatReply";
  readonly round: number;
  readonly priority?: number | undefined;
  readonly room?: "short" | "full" | undefined;
}

/** The leader's log no longer reaches back far enough: its snapshot has to be installed. The bytes travel beside. */
export interface InstallSnapshot extends Header {
  readonly type: "installSnapshot";
  readonly meta: SnapshotMeta;
}
/** `match` as in {@link AppendReply}: the snapshot's index, or the follower's commit where that is further. */
export interface InstallSnapshotReply extends Header {
  readonly type: "installSnapshotReply";
  readonly success: boolean;
  readonly match: Index;
}

/** Tells a caught-up voter to campaign at once (thesis 3.10). */
export interface TimeoutNow extends Header {
  readonly type: "timeoutNow";
}
export interface TimeoutNowReply extends Header {
  readonly type: "timeoutNowReply";
}

/** A follower asks the leader for an index that its read must reflect (thesis 6.4). */
export interface ReadIndex extends Header {
  readonly type: "readIndex";
  readonly level: ReadLevel;
}
/** `index` is null where the asked node cannot say (it leads no more). `indexTerm` lets the follower commit up to it. */
export interface ReadIndexReply extends Header {
  readonly type: "readIndexReply";
  readonly index: Index | null;
  readonly indexTerm: Term;
}

export type RequestMessage =
  | PreVote
  | Vote
  | Append
  | Heartbeat
  | InstallSnapshot
  | TimeoutNow
  | ReadIndex;
export type ReplyMessage =
  | PreVoteReply
  | VoteReply
  | AppendReply
  | HeartbeatReply
  | InstallSnapshotReply
  | TimeoutNowReply
  | ReadIndexReply;
export type Message = RequestMessage | ReplyMessage;
export type MessageType = Message["type"];

/** Whether `message` is a reply. */
export function isReply(message: Message): message is ReplyMessage {
  return message.type.endsWith("Reply");
}
