/** Metrics in Prometheus' text format, named after etcd's so that what watches one can be pointed at the other. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { MembersView, ReplicaObserver } from "../ports.ts";
import { votersOf } from "../raft/membership.ts";
import type { ReplicaStatus } from "../replica.ts";

/** etcd's buckets for both: 1 ms (commit: from half of one) to some seconds, each twice the last. */
const seconds = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512];
const latencyBuckets = [...seconds, 1.024, 2.048, 4.096, 8.192];

/** The process's own, which all of its nodes show: what observes the event loop and the garbage collector lasts for ever. */
let ofProcess: Registry | null = null;

function processRegistry(): Registry {
  if (ofProcess !== null) return ofProcess;
  ofProcess = new Registry();
  collectDefaultMetrics({ register: ofProcess });
  return ofProcess;
}

const roles = ["leader", "follower", "candidate", "preCandidate", "learner"] as const;

/** What a scrape reads of the node at that moment. */
export interface MetricsSource {
  status(): ReplicaStatus;
  members(): MembersView;
  /** Of the store. */
  readonly revision: number;
  readonly keys: number;
  /** Open streams of changes. */
  readonly watchers: number;
}

/** Listens to a replica, and writes down what it saw and what the replica's status says. */
export class Metrics implements ReplicaObserver {
  readonly #registry = new Registry();
  readonly #process = processRegistry();
  readonly #gauges = new Map<string, Gauge>();
  readonly #role: Gauge<"role">;
  readonly #members: Gauge<"kind">;
  readonly #leaderChanges: Counter;
  readonly #proposalsOk: Counter;
  readonly #proposalsFailed: Counter<"outcome">;
  readonly #fsync: Histogram;
  readonly #walBytes: Counter;
  readonly #commit: Histogram;
  readonly #snapshot: Histogram;
  #leader: string | null = null;

  constructor() {
    const registers = [this.#registry];
    this.#role = new Gauge({
      name: "holdfast_server_role",
      help: "1 for the role that this node has, 0 for the others.",
      labelNames: ["role"],
      registers,
    });
    this.#members = new Gauge({
      name: "holdfast_membership_members",
      help:
        "Members as this node knows them: voters (of both halves of a joint change), and learners.",
      labelNames: ["kind"],
      registers,
    });
    this.#leaderChanges = new Counter({
      name: "holdfast_server_leader_changes_seen_total",
      help: "Leaders that this node saw come into office.",
      registers,
    });
    this.#proposalsOk = new Counter({
      name: "holdfast_server_proposals_ok_total",
      help: "Proposals of this node that were applied.",
      registers,
    });
    this.#proposalsFailed = new Counter({
      name: "holdfast_server_proposals_failed_total",
      help: "Proposals of this node that were refused, or whose fate was not learned.",
      labelNames: ["outcome"],
      registers,
    });
    for (const outcome of ["not_applied", "unknown"]) this.#proposalsFailed.inc({ outcome }, 0);
    this.#fsync = new Histogram({
      name: "holdfast_disk_wal_fsync_duration_seconds",
      help: "From a write's hand-over to the WAL until it was durable.",
      buckets: latencyBuckets,
      registers,
    });
    this.#walBytes = new Counter({
      name: "holdfast_disk_wal_write_bytes_total",
      help: "Bytes that became durable in the WAL.",
      registers,
    });
    this.#commit = new Histogram({
      name: "holdfast_disk_backend_commit_duration_seconds",
      help:
        "From a proposal's arrival at this node until it was applied: replicated, durable, visible.",
      buckets: latencyBuckets,
      registers,
    });
    this.#snapshot = new Histogram({
      name: "holdfast_disk_snapshot_save_duration_seconds",
      help: "From a snapshot's beginning until it was durable and read back.",
      buckets: [0.01, 0.04, 0.16, 0.64, 2.56, 10.24, 40.96],
      registers,
    });
  }

  roleChanged({ leader }: { readonly leader: string | null }): void {
    if (leader === null || leader === this.#leader) return;
    this.#leader = leader;
    this.#leaderChanges.inc();
  }

  persisted(seconds: number, bytes: number): void {
    this.#fsync.observe(seconds);
    this.#walBytes.inc(bytes);
  }

  proposalEnded(outcome: "ok" | "not_applied" | "unknown", seconds: number): void {
    if (outcome === "ok") {
      this.#proposalsOk.inc();
      this.#commit.observe(seconds);
    } else {
      this.#proposalsFailed.inc({ outcome });
    }
  }

  snapshotWritten(seconds: number): void {
    this.#snapshot.observe(seconds);
  }

  /** The text of a scrape. */
  async text(source: MetricsSource): Promise<string> {
    const status = source.status();
    for (const role of roles) this.#role.set({ role }, status.role === role ? 1 : 0);
    const { term, leader, role, commit, applied } = status;
    const { configuration, changing } = source.members();
    this.#members.set({ kind: "voter" }, votersOf(configuration).length);
    this.#members.set({ kind: "learner" }, configuration.learners.length);
    this.#set(
      "membership_change_in_progress",
      "1 while a change of membership is under way, as far as this node knows.",
      changing ? 1 : 0,
    );
    this.#set("server_has_leader", "1 where a leader is known.", leader === null ? 0 : 1);
    this.#set("server_is_leader", "1 where this node leads.", role === "leader" ? 1 : 0);
    this.#set("server_term", "The Raft term.", term);
    this.#set("server_proposals_committed_total", "The last committed index.", commit);
    this.#set("server_proposals_applied_total", "The last applied index.", applied);
    this.#set("server_proposals_pending", "Proposals in flight.", status.pendingProposals);
    this.#set("server_log_last_index", "The log's last index.", status.lastIndex);
    this.#set("server_snapshot_index", "The newest snapshot's index.", status.snapshotIndex);
    this.#set(
      "server_persist_lag_seconds",
      "Age of the oldest write that is not durable.",
      status.persistLagMs / 1000,
    );
    this.#set("store_revision", "The store's revision.", source.revision);
    this.#set("store_keys", "Keys in the store.", source.keys);
    this.#set("watchers", "Watchers that are open.", source.watchers);
    return `${await this.#process.metrics()}\n${await this.#registry.metrics()}`;
  }

  #set(name: string, help: string, value: number): void {
    let gauge = this.#gauges.get(name);
    if (gauge === undefined) {
      gauge = new Gauge({ name: `holdfast_${name}`, help, registers: [this.#registry] });
      this.#gauges.set(name, gauge);
    }
    gauge.set(value);
  }
}
