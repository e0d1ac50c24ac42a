import { type FaultKind, faultKinds } from "./options.ts";

/** "Sometimes": rare branches that a good run of seeds has reached. One that is never reached is a fault that is missing. */

const happenings = [
  "leader elected",
  "leader changed in the middle of a run",
  "leader stepped down",
  "read on a leader",
  "lease read answered",
  "linearizable read on a follower",
  "stale read with a known age",
  "age told while a snapshot is restored",
  "write forwarded",
  "write refused for overload",
  "write refused as nothing that will ever be",
  "write of unknown fate was applied",
  "write of unknown fate was never applied",
  "condition failed",
  "transaction succeeded",
  "transaction went the other way",
  "batch applied",
  "batch with a failed item",
  "add to what is no number",
  "lease that is over",
  "lease granted or kept alive",
  "lease revoked",
  "keys expired",
  "several ends by one command",
  "due while all is well",
  "history's limits set",
  "cluster's version raised",
  "node upgraded",
  "node taken back to the old release",
  "old release barred from a directory",
  "old speaker refused",
  "new message refused by the old release",
  "keyed write answered again",
  "key of another command refused",
  "keyed command refused as done with",
  "past read answered",
  "past read refused as forgotten",
  "watcher saw a revision",
  "watcher saw several events of a revision",
  "watcher went on at another node",
  "watcher fell off the history",
  "uncommitted entries cut",
  "log reset by a snapshot",
  "snapshot taken",
  "snapshot sent in several chunks",
  "snapshot installed",
  "log compacted",
  "recovered a torn tail",
  "recovered with a snapshot",
  "crash in recovery",
  "crash within a file-system call",
  "halted by a failed disk call",
  "disk almost full",
  "disk full before a write failed",
  "disk has room again",
  "start refused for damage",
  "damage found without loss",
  "damage mended, to be repaired",
  "repaired from the peers",
  "the last frame decayed",
  "restart with nothing lost",
  "process paused beyond an election",
  "machine slept, its clock stood still",
  "leadership transferred",
  "transfer failed",
  "stopped gracefully",
  "deposed leader asked for its lease",
  "partition without a majority",
  "partition of one direction",
  "all nodes down at once",
  "message arrived twice",
  "connection refused",
  "request timed out",
  "liveness phase with a node frozen in a pause",
  "history too long to search",
  "liveness phase with a node whose damage was harmless",
  "liveness phase in the middle of a change",
  "members changed jointly",
  "member removed",
  "newcomer let in",
  "newcomer promoted",
  "newcomer given up",
  "newcomer taken back",
  "removed id asked for again",
  "removed node stopped",
  "removed node refused to start",
  "node ended before it heard that it is removed",
  "node with an emptied disk told to stay out",
  "change asked for during a change",
  "part of a cluster told to go on alone",
  "change begun",
  "change over",
  "change not applied",
  "change of unknown fate",
  "change refused: bad_request",
  "change refused: not_found",
  "change refused: change_in_progress",
] as const;

/** What happened, and each kind of fault that befell somebody. */
export type Probe =
  | (typeof happenings)[number]
  | `fault: ${FaultKind}`
  // Not every thousand seeds lose as much.
  | "no quorum left to recover";
export const probeNames: readonly Probe[] = [
  ...happenings,
  ...faultKinds.map((kind): Probe => `fault: ${kind}`),
];

export class Probes {
  readonly #counts = new Map<Probe, number>();

  reached(probe: Probe, times = 1): void {
    this.#counts.set(probe, (this.#counts.get(probe) ?? 0) + times);
  }

  count(probe: Probe): number {
    return this.#counts.get(probe) ?? 0;
  }

  counts(): ReadonlyMap<Probe, number> {
    return this.#counts;
  }

  /** Adds another run's. */
  add(counts: ReadonlyMap<Probe, number>): void {
    for (const [probe, count] of counts) this.reached(probe, count);
  }

  unreached(): readonly Probe[] {
    return probeNames.filter((name) => this.count(name) === 0);
  }

  /** One line a probe, those never reached marked. */
  report(): string {
    return probeNames.map((name) => {
      const count = this.count(name);
      return `  ${String(count).padStart(10)}  ${name}${count === 0 ? "  ← never reached" : ""}`;
    }).join("\n");
  }
}
