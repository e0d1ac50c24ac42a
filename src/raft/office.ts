/** What a leader and a candidate have for as long as they are that, as data; each part is its chapter's to change. */
import type { Lease } from "./lease.ts";
import type { Progress } from "./progress.ts";
import type { Configuration, Index, Millis, NodeId, RequestId, Term } from "./types.ts";

/** A read that waits for its confirmation, ours or a follower's. */
export interface PendingRead {
  readonly from: NodeId;
  readonly id: RequestId;
  /** The commit index when it arrived, and that entry's term. */
  readonly index: Index;
  readonly indexTerm: Term;
}

/** A leader's office: everything in it ends with it. */
export interface Leadership {
  /** Requests before this one were sent in another office. */
  readonly firstRequest: RequestId;
  readonly since: Millis;
  /** The empty entry that opened the term. */
  readonly firstIndex: Index;
  /** Of all members, and of those who left and are still to hear of it. */
  readonly progress: Map<NodeId, Progress>;
  /** The configuration that `progress` was last brought in line with. */
  seated: Configuration;
  /** Those who left, and until when they are told: infinite while that isn't committed. */
  readonly leaving: Map<NodeId, Millis>;
  /** How far those who are to vote have come. */
  readonly catchUps: Map<NodeId, CatchUp>;
  /** How often this leader, who is to leave, has tried to give way to somebody who stays. */
  handovers: number;
  readonly lease: Lease;
  uncommittedBytes: number;
  heartbeatDue: Millis;
  quorumCheckDue: Millis;
  /** From when on a peer is told of the commit by a message of its own, if nothing else on its way does. */
  noticeDue: Millis;
  /** The last round of heartbeats that left, and the last that a quorum answered. */
  round: number;
  confirmedRound: number;
  confirmedSentAt: Millis;
  /** The clock jumped after this round left: when it and those before it did is unknown. */
  untimedRound: number;
  /** The commit index as of the last heartbeat interval. */
  lastIntervalCommit: Index;
  /** Rounds on their way, oldest first. */
  rounds: { readonly round: number; readonly sentAt: Millis; readonly commit: Index }[];
  /** Reads before the first commit of this term, reads for the next round, and reads that a round is to confirm. */
  heldReads: PendingRead[];
  waitingReads: PendingRead[];
  confirmingReads: { readonly round: number; readonly read: PendingRead }[];
  transfer: Transfer | null;
  /** Those who said with their last answer to a heartbeat that their disk has not room enough. */
  readonly shortPeers: Map<NodeId, "short" | "full">;
  /** Until then a leader whose disk is almost full doesn't try again to give way. */
  yieldsAgainAt: Millis;
}

/** A newcomer's rounds (thesis 4.2.1): each is what the log had grown by in the one before. */
export interface CatchUp {
  readonly round: number;
  /** The round ends when the newcomer has this. */
  readonly end: Index;
  readonly since: Millis;
  /** What it had when last looked at, and when that last grew. */
  readonly match: Index;
  readonly movedAt: Millis;
  /** Its last round was shorter than an election timeout, and the one under way is. */
  readonly done: boolean;
}

export interface Transfer {
  /** Null where nobody asked for it. */
  readonly id: RequestId | null;
  readonly target: NodeId;
  readonly until: Millis;
  /** Whether the target was told to campaign. */
  told: boolean;
}

export interface Campaign {
  /** Replies to earlier requests belong to another attempt. */
  readonly firstRequest: RequestId;
  readonly votes: Map<NodeId, boolean>;
  /** The write that makes our own vote durable; null in a pre-vote, which promises nothing. */
  readonly ownVoteSeq: number | null;
}
