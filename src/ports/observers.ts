/** Who is told of what a node does, as it happens: figures, traces, the command line. */
import type { Index, NodeId, ReadLevel, Term } from "../raft/types.ts";

/** What the replica reports as it happens; metrics and the command line listen. Every method must return at once. */
export interface ReplicaObserver {
  roleChanged(
    status: {
      readonly id: NodeId;
      readonly role: string;
      readonly term: Term;
      readonly leader: NodeId | null;
    },
  ): void;
  /** A WAL write became durable after `seconds`. */
  persisted(seconds: number, bytes: number): void;
  /** A proposal was applied (`ok`), refused, or its fate is unknown, after `seconds`. */
  proposalEnded(outcome: "ok" | "not_applied" | "unknown", seconds: number): void;
  snapshotWritten(seconds: number, index: Index): void;
  /** Committed entries were applied, one after the other, within `seconds`. */
  applied(seconds: number, entries: number): void;
  /** A read was confirmed, by a round of heartbeats or by the leader's lease, or (`failed`) not in time. */
  readEnded(level: ReadLevel, outcome: "confirmed" | "failed", seconds: number): void;
  /** A snapshot was handed to `to`, which has put it in place, or (`failed`) that came to nothing. */
  snapshotSent(to: NodeId, outcome: "ok" | "failed", seconds: number): void;
  /** A received snapshot took the place of the state machine's state. */
  snapshotInstalled(seconds: number, index: Index): void;
}

/** What passes between a node and its peers. Every method must return at once. */
export interface PeerObserver {
  /** A request of `bytes` leaves for a peer. `type` is the message's. */
  requestSent(to: NodeId, type: string, bytes: number): void;
  /** Its reply came after `seconds`. */
  replyReceived(from: NodeId, type: string, bytes: number, seconds: number): void;
  /** It came to nothing: refused, lost or too late. */
  requestFailed(to: NodeId, type: string): void;
  /** A request of a peer that has shown who it is. */
  requestReceived(from: NodeId, type: string, bytes: number): void;
  replySent(to: NodeId, bytes: number): void;
}

/** What a log on files does to its disk. Every method must return at once. */
export interface WalObserver {
  /** A frame was handed to the system. */
  written(seconds: number, bytes: number): void;
  /** The system has it on the disk. */
  synced(seconds: number): void;
}

/** What a piece of a request's way is to whoever has it: somebody asks, somebody is asked, or neither. */
export type SpanKindName = "server" | "client" | "internal";

/** A piece of a request's way, told to who collects traces. No method waits or throws. */
export interface Span {
  /** A piece of this piece, from now on; `internal` where no kind is said. */
  child(name: string, kind?: SpanKindName): Span;
  /** Never a key or a value of the store, nor what says who asks. */
  set(name: string, value: string | number): void;
  /** It ends now; `error` is a word that says why it came to nothing, null where it came to something. */
  end(error?: string | null): void;
  /** Headers by which whoever is asked next goes on with it. */
  headers(): Readonly<Record<string, string>>;
}

/** A request's headers. */
export interface HeaderLookup {
  get(name: string): string | null;
}

/** Begins the traces, or goes on with those that others began. */
export interface Tracer {
  /** A request came in; its headers may say what it is a piece of. */
  enter(
    name: string,
    headers: HeaderLookup,
    attributes: Readonly<Record<string, string | number>>,
  ): Span;
}
