/** What the replica needs of the world, as interfaces only. `adapters/` has them for real machines and for tests. */
import type { ChangeRefusedCode, NotAppliedReason } from "./errors.ts";
import type { LogEnd } from "./raft/log.ts";
import type { ReplyMessage, RequestMessage } from "./raft/message.ts";
import type {
  Configuration,
  Entry,
  HardState,
  Index,
  NodeId,
  SnapshotMeta,
  Term,
} from "./raft/types.ts";
import type { Persist } from "./raft/step.ts";
import type { Span } from "./ports/observers.ts";

export type {
  HeaderLookup,
  PeerObserver,
  ReplicaObserver,
  Span,
  SpanKindName,
  Tracer,
  WalObserver,
} from "./ports/observers.ts";

/** Time and turns of the event loop. */
export interface Clock {
  /** Monotonic milliseconds (fractions allowed). */
  now(): number;
  /** Wall-clock milliseconds since 1970; compared with `now` to notice a suspended process. */
  wallNow(): number;
  /** Calls back once, at or after `at` on the scale of `now`. Returns a function that cancels it. */
  timer(at: number, callback: () => void): () => void;
  /** Resolves in a later turn of the event loop, after pending I/O had its chance. */
  yield(): Promise<void>;
}

/** An open file. Offsets and lengths are bytes. Every method rejects with the system's error. */
export interface File {
  /** Bytes read; fewer than asked only at the file's end. They may come in `into`, where that has room for them. */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Writes the buffers one behind the other, all of them. */
  writev(buffers: readonly Uint8Array[], offset: number): Promise<void>;
  datasync(): Promise<void>;
  truncate(length: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** The lowest port: all access to a disk goes through it, so that a test can lose what was not synced. */
export interface FileSystem {
  /** `create` fails where the file exists; `write` and `read` where it doesn't. */
  open(path: string, mode: "read" | "write" | "create"): Promise<File>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Names in a directory, sorted; rejects where it doesn't exist. */
  list(directory: string): Promise<string[]>;
  /** Creates a directory and its parents, durable when this resolves; no error where it exists. */
  makeDirectory(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** Bytes that this process may still write to the disk that `path` is on. */
  space(path: string): Promise<number>;
  /**
   * Takes an exclusive lock that dies with the process. Returns the release.
   * @throws {DataDirectoryRefused} where another process holds it.
   */
  lock(path: string): Promise<() => Promise<void>>;
}

/** The disk that a replica is on, as far as it can be full. */
export interface DiskSpace {
  /** Bytes that may still be written to it. Rejects where the system doesn't say. */
  free(): Promise<number>;
  /** Beside its next snapshot a replica wants so many bytes to be free, and takes no more writes where they aren't. */
  readonly reserveBytes: number;
  /** Whether all members understand that one tells its disk is almost full; they do, where it isn't said. */
  readonly isUnderstood?: () => boolean;
}

/** What a WAL held when it was opened. `logStart` is the chain's end before `entries[0]`. */
export interface RecoveredLog {
  readonly hardState: HardState;
  readonly logStart: { readonly index: Index; readonly term: Term; readonly crc: number };
  readonly entries: readonly Entry[];
}

/** What a log held, and was lost with a part of the disk. Until it is there again the node doesn't lead. */
export interface LogDebt {
  /** The log's last entry. */
  readonly owes: LogEnd;
  /** It is here again, durably. @throws {DiskFailure} */
  settle(): Promise<void>;
}

/** The part of a write that goes to disk. */
export type WalWrite = Pick<Persist, "hardState" | "reset" | "truncateFrom" | "entries">;

/** The write-ahead log. Writes become durable in the order they were appended; one fsync may complete many. */
export interface Wal {
  /** Resolves when this write and all before it are durable. @throws {DiskFailure} once, and for ever after. */
  append(write: WalWrite): Promise<void>;
  /** Entries before `index` will not be asked for again. May remove files; durable writes are unaffected. */
  compactBefore(index: Index): Promise<void>;
  /** Waits for what was appended, then closes. */
  close(): Promise<void>;
}

/** A snapshot being received. Bytes arrive in order; what was written can be resumed from `offset`. */
export interface StagedSnapshot {
  /** Bytes held so far. */
  readonly offset: number;
  write(bytes: Uint8Array): Promise<void>;
  /** Checks the whole of it and makes it durable under a temporary name. @throws {MalformedBytes} */
  finish(): Promise<SnapshotMeta>;
  discard(): Promise<void>;
}

/** A snapshot file as it is, for sending. Stays readable until closed, also when a newer one replaces it. */
export interface SnapshotFile {
  readonly meta: SnapshotMeta;
  readonly size: number;
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Durable snapshots of the state machine; the newest counts. */
export interface SnapshotStore {
  /** The newest durable one, or null. */
  latest(): SnapshotMeta | null;
  /** Writes one from the machine's chunks, durable and read back when this resolves; older ones are then removed. */
  write(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void>;
  /** The machine's chunks of the newest, checked; each holds until the next is asked for. @throws {CorruptData} */
  read(): AsyncIterable<Uint8Array>;
  /** Opens the newest for sending, or null where there is none. */
  openFile(): Promise<SnapshotFile | null>;
  /** Begins or resumes receiving the snapshot that is `size` bytes long and stands for `index` and `term`. */
  stage(
    identity: { readonly index: Index; readonly term: Term; readonly size: number },
  ): Promise<StagedSnapshot>;
  /** Puts a finished staged snapshot in place of the newest. Durable when this resolves. */
  install(meta: SnapshotMeta): Promise<void>;
}

/** A follower's request on a client's behalf, answered by the leader. */
export type ForwardReply =
  /** Applied at `index`; `result` is the machine's, encoded. */
  | {
    readonly type: "applied";
    readonly index: Index;
    readonly term: Term;
    readonly result: Uint8Array;
  }
  /** Nothing was appended, or what was appended is certainly void. */
  | { readonly type: "notApplied"; readonly reason: "no_leader" | "not_ready" | "overloaded" }
  | { readonly type: "unknown" };

/** A member, as a request names it. */
export interface MemberSpec {
  readonly id: NodeId;
  /** Null where the one that is known stands. */
  readonly url: string | null;
}

/** A change of membership that somebody asks for. */
export type MemberRequest =
  /** One more, to vote once it has caught up, or only to learn; also a learner that is to vote. */
  | { readonly type: "add"; readonly id: NodeId; readonly url: string; readonly voter: boolean }
  /** One in the place of another, in the same role. */
  | {
    readonly type: "replace";
    readonly id: NodeId;
    readonly url: string;
    readonly replaces: NodeId;
  }
  | { readonly type: "remove"; readonly id: NodeId }
  /** These and no others. */
  | {
    readonly type: "set";
    readonly voters: readonly MemberSpec[];
    readonly learners: readonly MemberSpec[];
  };

/** What only the leader can do, handed to it by a node that was asked. A `target` of null is the most caught-up voter. */
export type ManageRequest = MemberRequest | {
  readonly type: "transfer";
  readonly target: NodeId | null;
};

/** The membership in effect, and whether a change of it has begun and isn't over. */
export interface MembersView {
  readonly configuration: Configuration;
  readonly changing: boolean;
}

export type ManageReply =
  | ({ readonly type: "members" } & MembersView)
  | { readonly type: "transferred"; readonly leader: NodeId }
  | { readonly type: "refused"; readonly code: ChangeRefusedCode; readonly detail: string }
  | { readonly type: "notApplied"; readonly reason: NotAppliedReason; readonly detail: string }
  | { readonly type: "unknown" };

/** A piece of a snapshot on its way. `offset` is where `bytes` begin in the file of `size` bytes. */
export interface SnapshotChunk {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: Term;
  readonly index: Index;
  readonly snapshotTerm: Term;
  readonly size: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}
/** How many bytes the receiver now holds: where to go on. `refused` ends the transfer. */
export interface SnapshotChunkReply {
  readonly offset: number;
  readonly refused: boolean;
}

/** Requests to peers. A reply is the response to its request. */
export interface Transport {
  /** @throws {PeerUnreachable} after `timeoutMs` at the latest. */
  request(message: RequestMessage, timeoutMs: number): Promise<ReplyMessage>;
  /** Hands a command to the leader. @throws {PeerUnreachable} */
  forward(
    to: NodeId,
    command: Uint8Array,
    timeoutMs: number,
    span?: Span | null,
  ): Promise<ForwardReply>;
  /** @throws {PeerUnreachable} */
  manage(to: NodeId, request: ManageRequest, timeoutMs: number): Promise<ManageReply>;
  /** An empty chunk asks where to begin. @throws {PeerUnreachable} */
  sendChunk(chunk: SnapshotChunk, timeoutMs: number): Promise<SnapshotChunkReply>;
  /** Where members are, whenever that changes. */
  setUrls(urls: Readonly<Record<NodeId, string>>): void;
  close(): void;
}

/** What a transport delivers to. `Replica` implements it. */
export interface PeerHandler {
  receive(message: RequestMessage): Promise<ReplyMessage>;
  forwarded(command: Uint8Array, timeoutMs: number, span?: Span | null): Promise<ForwardReply>;
  managed(request: ManageRequest, timeoutMs: number): Promise<ManageReply>;
  receiveChunk(chunk: SnapshotChunk): Promise<SnapshotChunkReply>;
}

/** A state machine's frozen state: O(1) to take, written out later in slices while the machine goes on. */
export interface StateSnapshot {
  /** Slices of bounded size (about 64 KiB), in a deterministic order; each holds until the next is asked for. */
  chunks(): Iterable<Uint8Array>;
}

/** What a state machine needs of the leader beside its clients' commands: the time, and commands of its own. */
export interface Housekeeping {
  /** The highest time that was stamped into an applied command, in whole milliseconds; 0 before the first. */
  time(): number;
  /** How often this machine was told of a time so far: it goes up by one, or more, with each stamp that is applied. */
  stamps(): number;
  /** Writes the time into a command that is about to be proposed, if that depends on it. */
  stamp(command: Uint8Array, timeMs: number): void;
  /** The time that was stamped into a command; 0 where it depends on none. */
  stampOf(command: Uint8Array): number;
  /**
   * What the leader is to propose next, when the time is `at`; null where nothing is to come. Once applied, a command
   * must not come again at the same time, or the leader would do nothing else.
   */
  next(): { readonly at: number; readonly command: () => Uint8Array } | null;
}

/** The replicated state: the same entries give the same bytes on every replica. */
export interface StateMachine<Result> {
  /** Of a machine that keeps time. */
  readonly housekeeping?: Housekeeping;
  /**
   * Whether a command makes the state no larger: it is let in where the disk is almost full, so that somebody can make
   * room, and keep what he has. Where a machine has no such commands, none is.
   */
  isFrugal?(command: Uint8Array): boolean;
  /** Applies one command. Deterministic; throws only for a defect, and then the replica halts. */
  apply(entry: Entry): Result;
  snapshot(): StateSnapshot;
  /** Replaces the whole state by a copy of the chunks. @throws {MalformedBytes} and then the old state stands. */
  restore(chunks: AsyncIterable<Uint8Array>): Promise<void>;
  /** A result on its way back to a follower that forwarded the command. */
  encodeResult(result: Result): Uint8Array;
  /** @throws {MalformedBytes} */
  decodeResult(bytes: Uint8Array): Result;
}

/** Tokens that clients are let in with. */
export interface Credentials {
  /** A new one: what it is named by, and all of it. */
  draw(): { readonly id: string; readonly text: string };
  /** SHA-256, 32 bytes. */
  hash(text: string): Uint8Array;
  /** Takes as long wherever two hashes differ. */
  isSame(a: Uint8Array, b: Uint8Array): boolean;
}

export type LogLevel = "debug" | "info" | "warn" | "error";
/** One JSON object a line; never blocks, never throws. */
export type Logger = (
  level: LogLevel,
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

/** When what clients propose is refused before anything is appended. */
export interface ProposalLimits {
  /** While the oldest proposal whose fate is open is older, in milliseconds; */
  readonly delayMsMax: number;
  /** but for so many at a time. */
  readonly pendingMin: number;
}
