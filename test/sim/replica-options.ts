/** A replica's options, as a run and a node's settings have them. */
import { sealEntry } from "../../src/adapters/log-record.ts";
import { raftLimits } from "../../src/config.ts";
import type { ReplicaOptions } from "../../src/replica.ts";
import type { Settings, SimOptions } from "./options.ts";

/** A write may take so long, in milliseconds, before the process ends itself. */
const diskStallMs = 10_000;

export function replicaOptions(
  options: SimOptions,
  settings: Settings,
  node: { readonly id: string; readonly members: readonly string[]; readonly random: () => number },
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
    birth: { voters: node.members, outgoing: [], learners: [], urls: {} },
    snapshotEntries,
    snapshotBytes,
    peerTimeoutMs: 2 * electionTimeoutMs,
    diskStallMs,
  };
}
