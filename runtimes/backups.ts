/** The backups that a member takes of its key-value store by itself, where it is told to. */
import { NodeFileSystem } from "../src/adapters/node-fs.ts";
import { BackupSchedule } from "../src/backup/schedule.ts";
import type { Replica } from "../src/replica.ts";
import type { Surroundings } from "./member.ts";
import { version } from "./version.ts";

/** Begins to take them. Returns what ends that; it resolves when nothing is being written any more. */
export function startBackups<Result>(
  { config, clock, log, metrics, service: { store: machine } }: Pick<
    Surroundings<Result>,
    "config" | "clock" | "log" | "metrics" | "service"
  >,
  replica: Replica<Result>,
): () => Promise<void> {
  const plan = config.backups;
  if (plan === null || machine === null) return () => Promise.resolve();
  const { clusterId, id } = replica;
  const schedule = new BackupSchedule({
    plan,
    fs: new NodeFileSystem(),
    clock,
    log,
    observer: metrics.backups,
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
