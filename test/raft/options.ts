/** What a test cluster is made of. */
import { sealEntry } from "../../src/adapters/log-record.ts";
import type { Configuration, NodeId, RaftLimits, RaftOptions } from "../../src/raft/mod.ts";

export const electionTimeoutMs = 150;
export const heartbeatIntervalMs = 50;
export const maxClockDrift = 0.1;
export const maxClockJumpMs = 5;

export interface ClusterOptions {
  readonly voters: readonly NodeId[];
  readonly outgoing?: readonly NodeId[];
  readonly learners?: readonly NodeId[];
  /** Nodes that are no members yet, and whose birth is the cluster's. */
  readonly spares?: readonly NodeId[];
  /** Members that only the test speaks for, with `inject`; what is sent to them stays on the network. */
  readonly absent?: readonly NodeId[];
  readonly limits?: Partial<RaftLimits>;
  readonly noticeDelayMs?: number;
  readonly priorities?: Readonly<Record<NodeId, number>>;
  /** One source per node, called with its position among the members. */
  readonly random?: (position: number) => () => number;
  /** Told, line by line, what happens. */
  readonly trace?: (line: string) => void;
}

const defaultLimits: RaftLimits = {
  appendBytesMax: 1024,
  inflightAppendsMax: 4,
  inflightBytesMax: 4096,
  uncommittedBytesMax: 65_536,
  applyLagMax: 1000,
  pendingReadsMax: 16,
  trailingEntries: 0,
  trailingBytesMax: 1 << 20,
};

/** Timers in the upper half, in order of the members: a whole election timeout passes before the first fires. */
const inOrder = (position: number) => (): number => Math.sqrt(0.5 + 0.05 * position);

export function configurationOf(options: ClusterOptions): Configuration {
  const { voters, outgoing = [], learners = [] } = options;
  const members = [...new Set([...voters, ...outgoing, ...learners])];
  const urls = Object.fromEntries(members.map((id) => [id, `http://${id}`]));
  return { voters, outgoing, learners, urls };
}

export function raftOptionsOf(id: NodeId, position: number, options: ClusterOptions): RaftOptions {
  return {
    id,
    electionTimeoutMs,
    heartbeatIntervalMs,
    noticeDelayMs: options.noticeDelayMs ?? 0,
    maxClockDrift,
    maxClockJumpMs,
    limits: { ...defaultLimits, ...options.limits },
    priority: options.priorities?.[id] ?? 0,
    random: (options.random ?? inOrder)(position),
    seal: sealEntry,
  };
}
