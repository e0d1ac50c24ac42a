/** The core's one door, as data: what goes in (`RaftEvent`), what comes out (`Effects`). */
import type { LogEnd } from "./log.ts";
import type { Message } from "./message.ts";
import type {
  Configuration,
  Entry,
  HardState,
  Index,
  Membership,
  Millis,
  NodeId,
  ReadLevel,
  RequestId,
  Role,
  RoomLevel,
  SealEntry,
  SnapshotMeta,
  Term,
} from "./types.ts";

export type RaftEvent =
  /** `deadline()` has come (or later). */
  | { readonly type: "timeout" }
  /** A peer's request or reply. */
  | { readonly type: "receive"; readonly message: Message }
  /** Commands to append, one batch: all that came in one turn of the event loop. Answered by one `proposed`. */
  | {
    readonly type: "propose";
    readonly id: RequestId;
    readonly commands: readonly Uint8Array[];
    /** The leader's own: no bound on what clients propose holds them up. Whoever says so bounds them. */
    readonly own?: true;
  }
  /** One confirmation for all reads that came in one turn. Answered by `readable` or `readRejected`. */
  | { readonly type: "read"; readonly id: RequestId; readonly level: ReadLevel }
  /** Hand leadership to `target`, or to the most caught-up voter. Answered by `transferred` or `transferRejected`. */
  | { readonly type: "transfer"; readonly id: RequestId; readonly target: NodeId | null }
  /** Change who takes part (thesis 4): see `change.ts`. Answered by `changed` or `changeRejected`. */
  | {
    readonly type: "change";
    readonly id: RequestId;
    readonly target: ChangeTarget;
    /** Whether it takes the place of a change that still waits for its newcomers. */
    readonly cancels: boolean;
  }
  /** A member that nobody had heard of yet has come, in this life of its disk. Not answered: it asks until it is in. */
  | { readonly type: "bind"; readonly member: NodeId; readonly incarnation: string }
  /** The disk has write `seq` and all before it. */
  | { readonly type: "persisted"; readonly seq: number }
  /** The state machine reflects all entries up to `index`. */
  | { readonly type: "applied"; readonly index: Index }
  /** A snapshot of our own state is durable and was read back: the log may be compacted behind it. */
  | { readonly type: "snapshotted"; readonly meta: SnapshotMeta }
  /** A request to `peer` failed or timed out; its reply will not come. */
  | { readonly type: "unreachable"; readonly peer: NodeId; readonly request: RequestId }
  /** How much room there is on the disk here, and whether leaders are told: see `room.ts`. */
  | { readonly type: "room"; readonly level: RoomLevel; readonly tells: boolean }
  /** Wall and monotonic clocks disagree: the process was suspended or its clock set. Voids the lease. */
  | { readonly type: "clockJumped" };

export interface Effects {
  /** May leave at once: a leader's appends go out while its own disk writes (thesis 10.2.1). */
  readonly send: readonly Message[];
  /** One atomic write, or null; writes complete in order of `seq`. */
  readonly persist: Persist | null;
  /** Committed and durable here, in index order, each exactly once. */
  readonly apply: readonly Entry[];
  /** To the requests handed in. */
  readonly answers: readonly Answer[];
  /** Put the staged snapshot in place and replace the state machine's state by it, before this step's `persist`. */
  readonly restore: SnapshotMeta | null;
  /** The log now begins at this index (entries before it may leave the disk), or null where nothing changed. */
  readonly compactBefore: Index | null;
}

export interface Persist {
  /** One more than the last. */
  readonly seq: number;
  readonly hardState: HardState | null;
  /** The log is empty and starts right behind this snapshot; all entries before this write are void. */
  readonly reset: SnapshotMeta | null;
  /** Entries from here on are void, replaced by `entries`. Null where nothing is cut. */
  readonly truncateFrom: Index | null;
  readonly entries: readonly Entry[];
  /** Promises: votes, vote requests, append replies. They wait for the disk. */
  readonly sendAfter: readonly Message[];
}

/** Why the core refused; nothing was appended. */
export type RejectReason =
  | "notLeader"
  | "transferring"
  | "overloaded"
  | "noTarget"
  | "timedOut"
  /** Another change of membership is under way, or this leader has committed nothing in its term yet. */
  | "changing";

export type Answer =
  /** The first `accepted` commands stand at `firstIndex`… of `term`; the rest (if any) was rejected for `reason`. */
  | {
    readonly type: "proposed";
    readonly id: RequestId;
    readonly firstIndex: Index;
    readonly term: Term;
    readonly accepted: number;
    readonly reason: RejectReason | null;
  }
  /** Serve the read once the state machine reflects `index`. */
  | { readonly type: "readable"; readonly id: RequestId; readonly index: Index }
  | { readonly type: "readRejected"; readonly id: RequestId; readonly reason: RejectReason }
  /** The change began with the entry at `index` of `term`; the configuration tells how it goes on. */
  | { readonly type: "changed"; readonly id: RequestId; readonly index: Index; readonly term: Term }
  | { readonly type: "changeRejected"; readonly id: RequestId; readonly reason: RejectReason }
  | { readonly type: "transferred"; readonly id: RequestId; readonly leader: NodeId }
  | { readonly type: "transferRejected"; readonly id: RequestId; readonly reason: RejectReason };

/** Whom a change of membership is to end in, with the URLs of all of them. */
export interface ChangeTarget extends Membership {
  readonly urls: Readonly<Record<NodeId, string>>;
}

/** Bounds of the core's queues; each is named, and what would exceed one is refused. */
export interface RaftLimits {
  /** Entry bytes in one append message; a single larger entry still goes, alone. */
  readonly appendBytesMax: number;
  /** Append messages on their way to one peer. */
  readonly inflightAppendsMax: number;
  /** Entry bytes on their way to one peer. */
  readonly inflightBytesMax: number;
  /** Payload bytes appended by this leader and not yet committed. */
  readonly uncommittedBytesMax: number;
  /** Entries committed and not yet applied, beyond which proposals are refused. */
  readonly applyLagMax: number;
  /** Read batches awaiting confirmation. */
  readonly pendingReadsMax: number;
  /** Entries kept behind a snapshot, so that a slow follower needs none. */
  readonly trailingEntries: number;
  /** Record bytes kept behind a snapshot, whatever they would be kept for. */
  readonly trailingBytesMax: number;
}

export interface RaftOptions {
  readonly id: NodeId;
  /** Lower end, in milliseconds; each attempt draws from [t, 2t). */
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** How long a commit waits for an append that tells the peers of it as well. */
  readonly noticeDelayMs: number;
  /** Clocks' rates differ by at most this fraction (0–0.5); shortens the lease. */
  readonly maxClockDrift: number;
  /** The host may not notice that its clock stood still for so many milliseconds; shortens the lease, lengthens ages. */
  readonly maxClockJumpMs: number;
  readonly limits: RaftLimits;
  /** 0 (the default) to {@link PRIORITY_MAX}: a voter with a higher one that keeps up is given the leadership. */
  readonly priority?: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly seal: SealEntry;
}

/** What the disk held at start. A first start has `snapshot` at index 0 with the cluster's first configuration. */
export interface RaftRestart {
  readonly hardState: HardState;
  readonly snapshot: SnapshotMeta;
  /** The chain's end before `entries[0]`; entries may begin at or before the snapshot's index + 1, never after. */
  readonly logStart: { readonly index: Index; readonly term: Term; readonly crc: number };
  readonly entries: readonly Entry[];
  /** What the log's end was before a part of it was lost; null or missing where nothing was. See `Core.owes`. */
  readonly owes?: LogEnd | null;
}

/** For status, metrics and tests; computed when asked. */
export interface RaftStatus {
  readonly id: NodeId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: NodeId | null;
  readonly leader: NodeId | null;
  readonly commit: Index;
  readonly applied: Index;
  readonly lastIndex: Index;
  readonly lastTerm: Term;
  readonly firstIndex: Index;
  readonly snapshotIndex: Index;
  readonly configuration: Configuration;
  /** On a leader: what it knows of each member. Empty elsewhere. */
  readonly progress: readonly PeerStatus[];
}

export interface PeerStatus {
  readonly id: NodeId;
  readonly match: Index;
  readonly state: "probe" | "replicate" | "snapshot";
  readonly lastReply: Millis | null;
}
