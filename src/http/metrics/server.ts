/** What a replica tells of itself: its office, its log, and what came of what it was asked. */
import { votersOf } from "../../raft/membership.ts";
import type { ReadLevel } from "../../raft/types.ts";
import { latencyBuckets } from "./buckets.ts";
import type { Count, Distribution, Figures, Sample } from "./figures.ts";
import type { MetricsSource } from "./source.ts";

const roles = ["leader", "follower", "candidate", "preCandidate", "learner"] as const;

export type ProposalOutcome = "ok" | "not_applied" | "unknown";

export type ReadOutcome = "confirmed" | "failed";

export class ServerMetrics {
  readonly #leaderChanges: Count;
  readonly #campaigns: Count;
  readonly #won: Count;
  readonly #proposalsOk: Count;
  readonly #failed: Readonly<Record<Exclude<ProposalOutcome, "ok">, Count>>;
  readonly #commit: Distribution;
  readonly #apply: Distribution;
  readonly #read: Readonly<Record<ReadLevel, Distribution>>;
  readonly #readsFailed: Count;
  #leader: string | null = null;
  #role = "";

  constructor(figures: Figures<MetricsSource>) {
    this.#leaderChanges = figures.counter(
      "holdfast_server_leader_changes_seen_total",
      "Leaders that this node saw come into office.",
    );
    this.#campaigns = figures.counter(
      "holdfast_server_campaigns_total",
      "Elections that this node began, or asked others whether it might.",
    );
    this.#won = figures.counter(
      "holdfast_server_elections_won_total",
      "Elections after which this node led.",
    );
    this.#proposalsOk = figures.counter(
      "holdfast_server_proposals_ok_total",
      "Proposals of this node that were applied.",
    );
    const failed = figures.counters(
      "holdfast_server_proposals_failed_total",
      "Proposals of this node that were refused, or whose fate was not learned.",
      ["outcome"],
    );
    this.#failed = { not_applied: failed.of("not_applied"), unknown: failed.of("unknown") };
    this.#commit = figures.histogram(
      "holdfast_disk_backend_commit_duration_seconds",
      "From a proposal's arrival at the leader until it was applied: replicated, durable, visible.",
      latencyBuckets,
    );
    this.#apply = figures.histogram(
      "holdfast_server_apply_duration_seconds",
      "Of applying what was committed at a time, all of it.",
      latencyBuckets,
    );
    const read = figures.histograms(
      "holdfast_server_read_index_duration_seconds",
      "From a read's arrival until it was confirmed: by heartbeats, or at level lease by a lease, if any.",
      ["level"],
      latencyBuckets,
    );
    this.#read = { linearizable: read.of("linearizable"), lease: read.of("lease") };
    this.#readsFailed = figures.counter(
      "holdfast_server_read_indexes_failed_total",
      "Linearizable reads that were not confirmed in time.",
    );
    defineOffice(figures);
    defineLog(figures);
  }

  roleChanged({ role, leader }: { readonly role: string; readonly leader: string | null }): void {
    if (role !== this.#role) {
      // Whoever is asked whether it might, and then does, campaigns once.
      if (role === "candidate" && this.#role !== "preCandidate") this.#campaigns.add();
      if (role === "preCandidate") this.#campaigns.add();
      if (role === "leader") this.#won.add();
      this.#role = role;
    }
    if (leader === null || leader === this.#leader) return;
    this.#leader = leader;
    this.#leaderChanges.add();
  }

  applied(seconds: number): void {
    this.#apply.observe(seconds);
  }

  readEnded(level: ReadLevel, outcome: ReadOutcome, seconds: number): void {
    if (outcome === "confirmed") this.#read[level].observe(seconds);
    else this.#readsFailed.add();
  }

  proposalEnded(outcome: ProposalOutcome, seconds: number): void {
    if (outcome === "ok") {
      this.#proposalsOk.add();
      this.#commit.observe(seconds);
    } else {
      this.#failed[outcome].add();
    }
  }
}

function defineOffice(figures: Figures<MetricsSource>): void {
  figures.gauges(
    "holdfast_server_role",
    "1 for the role that this node has, 0 for the others.",
    ["role"],
    ({ status: { role } }) => roles.map((each): Sample => [[each], each === role ? 1 : 0]),
  );
  figures.gauge(
    "holdfast_server_has_leader",
    "1 where a leader is known.",
    ({ status: { leader } }) => leader === null ? 0 : 1,
  );
  figures.gauge(
    "holdfast_server_is_leader",
    "1 where this node leads.",
    ({ status: { role } }) => role === "leader" ? 1 : 0,
  );
  figures.gauge(
    "holdfast_server_is_learner",
    "1 where this node is a learner: it has no vote.",
    ({ status: { role } }) => role === "learner" ? 1 : 0,
  );
  figures.gauge("holdfast_server_term", "The Raft term.", ({ status }) => status.term);
  figures.gauge(
    "holdfast_cluster_version",
    "The cluster's version, as far as was applied here: what all members know.",
    ({ version }) => version,
  );
  figures.gauges(
    "holdfast_membership_members",
    "Members as this node knows them: voters (of both halves of a joint change), and learners.",
    ["kind"],
    ({ members: { configuration } }) => [
      [["voter"], votersOf(configuration).length],
      [["learner"], configuration.learners.length],
    ],
  );
  figures.gauge(
    "holdfast_membership_change_in_progress",
    "1 while a change of membership is under way, as far as this node knows.",
    ({ members }) => members.changing ? 1 : 0,
  );
}

function defineLog(figures: Figures<MetricsSource>): void {
  figures.total(
    "holdfast_server_proposals_committed_total",
    "The last committed index.",
    ({ status }) => status.commit,
  );
  figures.total(
    "holdfast_server_proposals_applied_total",
    "The last applied index.",
    ({ status }) => status.applied,
  );
  figures.gauge(
    "holdfast_server_apply_lag_entries",
    "Entries that are committed and not yet applied.",
    ({ status }) => Math.max(0, status.commit - status.applied),
  );
  figures.gauge(
    "holdfast_server_proposals_pending",
    "Proposals of this node in flight.",
    ({ status }) => status.pendingProposals,
  );
  figures.gauge(
    "holdfast_server_log_first_index",
    "The first index that the log still holds.",
    ({ status }) => status.firstIndex,
  );
  figures.gauge(
    "holdfast_server_log_last_index",
    "The log's last index.",
    ({ status }) => status.lastIndex,
  );
  figures.gauge(
    "holdfast_server_snapshot_index",
    "The newest snapshot's index.",
    ({ status }) => status.snapshotIndex,
  );
  figures.gauge(
    "holdfast_server_persist_lag_seconds",
    "Age of the oldest write that is not durable.",
    ({ status }) => status.persistLagMs / 1000,
  );
  figures.gauge(
    "holdfast_server_staleness_seconds",
    "How old this node's state is at most; missing before its first contact with a quorum.",
    ({ stalenessMs }) => stalenessMs === null ? null : stalenessMs / 1000,
  );
}
