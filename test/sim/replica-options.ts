/** A replica's options, as a run and a node's settings have them. */
import { sealEntry } from "../../src/adapters/log-record.ts";
import { proposalLimits, raftLimits } from "../../src/config.ts";
import type { Configuration } from "../../src/raft/types.ts";
import type { ReplicaOptions } from "../../src/replica.ts";
import { urlOf } from "./operator.ts";
import type { Settings, SimOptions } from "./options.ts";

/** A write may take so long, in milliseconds, before the process ends itself. */
const diskStallMs = 10_000;

export function replicaOptions(
  options: SimOptions,
  settings: Settings,
  node: {
    readonly id: string;
    readonly birth: Configuration;
    readonly random: () => number;
  },
): ReplicaOptions {
  const { electionTimeoutMs, heartbeatIntervalMs, drift } = options;
  const { snapshotEntries, snapshotBytes, trailingEntries } = settings;
  const { appendBytesMax, inflightAppendsMax, uncommittedBytesMax, applyLagMax } = settings;
  return {
    raft: {
      id: node.id,
      electionTimeoutMs,
      heartbeatIntervalMs,
      noticeDelayMs: Math.round(heartbeatIntervalMs / 10),
      maxClockDrift: drift,
      limits: {
        ...raftLimits,
        appendBytesMax,
        inflightAppendsMax,
        uncommittedBytesMax,
        applyLagMax,
        trailingEntries,
      },
      random: node.random,
      seal: sealEntry,
    },
    clusterId: "sim",
    birth: node.birth,
    snapshotEntries,
    snapshotBytes,
    proposals: proposalLimits,
    peerTimeoutMs: 2 * electionTimeoutMs,
    diskStallMs,
  };
}

/** The first configuration. Where it never changes it says no more than it has to. */
export function birthOf({ nodes, faults }: SimOptions): Configuration {
  const voters = Array.from({ length: nodes }, (_, i) => `n${i + 1}`);
  const birth = { voters, outgoing: [], learners: [], urls: {} };
  if (!faults.has("members")) return birth;
  return {
    ...birth,
    urls: Object.fromEntries(voters.map((id) => [id, urlOf(id)])),
    incarnations: Object.fromEntries(voters.map((id) => [id, incarnationOf(1)])),
  };
}

/** The name of a disk's life. */
export function incarnationOf(disks: number): string {
  return String(disks);
}
