/** The backups that a member takes of its key-value store by itself, where it is told to. */
import { NodeFileSystem } from "../src/adapters/node-fs.ts";
import { BackupSchedule } from "../src/backup/schedule.ts";
import type { NodeConfig } from "../src/config.ts";
import type { BackupMetrics } from "../src/http/metrics/backup.ts";
import type { KvMachine } from "../src/kv/machine.ts";
import type { Clock, Logger } from "../src/ports.ts";
import type { Replica } from "../src/replica.ts";
import { version } from "./version.ts";

export interface BackupsParts<Result> {
  readonly config: Pick<NodeConfig, "backups" | "requestTimeoutMs">;
  /** Null where the replica's is another kind of machine. */
  readonly machine: KvMachine | null;
  readonly replica: Replica<Result>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: BackupMetrics;
}

/** Begins to take them. Returns what ends that; it resolves when nothing is being written any more. */
export function startBackups<Result>(parts: BackupsParts<Result>): () => Promise<void> {
  const { config, machine, replica, clock, log, metrics } = parts;
  const plan = config.backups;
  if (plan === null || machine === null) return () => Promise.resolve();
  const { clusterId, id } = replica;
  const schedule = new BackupSchedule({
    plan,
    fs: new NodeFileSystem(),
    clock,
    log,
    observer: metrics,
    subject: {
      clusterId,
      leads: () => replica.status().role === "leader",
      state: async () => {
        await replica.read("linearizable", config.requestTimeoutMs);
        const { revision } = machine.store;
        const takenAt = Math.trunc(clock.wallNow());
        const header = { clusterId, node: id, revision, takenAt, software: version };
        return { header, chunks: machine.snapshot().chunks() };
      },
    },
  });
  return () => schedule.stop();
}
