/** The nouns of the consensus core: plain data, no behaviour. */

/** 1–64 of `A-Z a-z 0-9 . _ -`. */
export type NodeId = string;
/** A Raft term; 0 before the first election. */
export type Term = number;
/** A position in the log; the first entry is 1, and 0 is "before the log". */
export type Index = number;
/** Names one request within one replica's life, so that its answer finds it. */
export type RequestId = number;
/** Monotonic milliseconds, as handed to `step`; never read from a clock here. */
export type Millis = number;

/** `empty` opens a term (thesis 6.4), `command` is opaque to Raft, `configuration` is a {@link Configuration}. */
export type EntryKind = "empty" | "command" | "configuration";

/** What the leader decides about an entry before it is sealed into its log record. */
export interface EntryDraft {
  readonly index: Index;
  readonly term: Term;
  readonly kind: EntryKind;
  readonly payload: Uint8Array;
}

/**
 * A log entry, encoded once. `record` is the entry's log record, the very bytes that go over the wire and onto every
 * disk; `payload` is a view into it. `crc` runs on from the previous entry's, so the same index, term and CRC mean
 * the same history on any two replicas.
 */
export interface Entry extends EntryDraft {
  readonly crc: number;
  readonly record: Uint8Array;
}

/** Seals a draft into a log record behind an entry whose CRC is `previousCrc` (0 before the log). Handed in; pure. */
export type SealEntry = (draft: EntryDraft, previousCrc: number) => Entry;

/** Durable as one record, before any message that depends on it. Term and vote never go back. */
export interface HardState {
  readonly term: Term;
  readonly vote: NodeId | null;
  /** A hint: committed at least this far. Written along with other things, never on its own account. */
  readonly commit: Index;
}

/**
 * Who takes part. `outgoing` is empty except in the joint phase of a change (thesis 4.3), when a quorum is a majority
 * of `voters` and a majority of `outgoing`.
 */
export interface Configuration {
  readonly voters: readonly NodeId[];
  readonly outgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
  /** The URL that peers and clients reach each member by, e.g. `http://127.0.0.1:4001`. */
  readonly urls: Readonly<Record<NodeId, string>>;
  /**
   * Which life of its disk each member is known by, 1–64 of `A-Z a-z 0-9 . _ -`: a disk that was lost and begun anew
   * has forgotten its promises, and is another. Who isn't here has not come yet.
   */
  readonly incarnations?: Readonly<Record<NodeId, string>>;
  /** Ids that have left. None of them ever comes back. */
  readonly removed?: readonly NodeId[];
  /** What the change under way ends in: while those who will vote are still learners and catch up, and while it is joint. */
  readonly next?: Membership;
}

/** Who votes and who only learns. */
export interface Membership {
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
}

/** What a snapshot stands for: all entries up to and including `index`. Index 0 is the cluster's birth. */
export interface SnapshotMeta {
  readonly index: Index;
  readonly term: Term;
  /** The chain CRC of the entry at `index`. */
  readonly crc: number;
  readonly configuration: Configuration;
}

export type Role = "follower" | "preCandidate" | "candidate" | "leader" | "learner";

/** `linearizable` confirms by a heartbeat round, `lease` answers from a valid lease and falls back to a round. */
export type ReadLevel = "linearizable" | "lease";

/** Room on a node's disk: enough; short, so that it takes nothing that makes the state larger; full, and it takes nothing. */
export type RoomLevel = "enough" | "short" | "full";
