/** What a replica says of itself. */
import type { RaftStatus } from "../raft/step.ts";

export interface ReplicaStatus extends RaftStatus {
  readonly clusterId: string;
  readonly pendingProposals: number;
  /** Age of the oldest write that is not durable yet. */
  readonly persistLagMs: number;
}

/** One thing that has to hold for a node to be live or ready. */
export interface HealthCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}
