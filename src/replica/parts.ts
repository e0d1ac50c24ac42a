/** What a replica stands on, and how it behaves. */
import type {
  Clock,
  DiskSpace,
  LogDebt,
  Logger,
  ProposalLimits,
  RecoveredLog,
  ReplicaObserver,
  SnapshotStore,
  StateMachine,
  Transport,
  Wal,
} from "../ports.ts";
import type { RaftOptions } from "../raft/step.ts";
import type { Configuration } from "../raft/types.ts";

/** How a replica behaves; times in milliseconds, sizes in bytes. */
export interface ReplicaOptions {
  readonly raft: Omit<RaftOptions, "maxClockJumpMs">;
  readonly clusterId: string;
  /** Who forms the cluster, where the disk holds none. */
  readonly birth: Configuration;
  /** Log entries, and log bytes, since the last snapshot that trigger the next, once they outgrew it: see `applier.ts`. */
  readonly snapshotEntries: number;
  readonly snapshotBytes: number;
  /** When what clients propose is refused. */
  readonly proposals: ProposalLimits;
  /** A peer that does not answer a message for so long counts as unreachable. */
  readonly peerTimeoutMs: number;
  /** A write to disk that takes longer ends the process. */
  readonly diskStallMs: number;
}

/** What a replica stands on. */
export interface ReplicaParts<Result> {
  readonly options: ReplicaOptions;
  readonly wal: Wal;
  readonly recovered: RecoveredLog;
  readonly snapshots: SnapshotStore;
  /** What the log held once and lost, to be settled when it is there again; null or missing where nothing is. */
  readonly debt?: LogDebt | null;
  /** Null or missing where nothing can be full, or nobody is to look. */
  readonly space?: DiskSpace | null;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly machine: StateMachine<Result>;
  readonly log: Logger;
  readonly observer: ReplicaObserver;
}
