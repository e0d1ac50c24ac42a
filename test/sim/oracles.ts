/** What must hold at every step of every run. The first thing that doesn't ends the run. */
import type { RecoveredLog, WalWrite } from "../../src/ports.ts";
import type { Message } from "../../src/raft/message.ts";
import type { Configuration, Entry, SnapshotMeta } from "../../src/raft/types.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { KvMachine } from "../../src/kv/machine.ts";
import { ClusterTime } from "./cluster-time.ts";
import type { Probes } from "./probes.ts";
import { DiskDuties } from "./disk-bounds.ts";
import { canonical, isQuorum, membersOf } from "./member-requests.ts";
import { Memberships } from "./memberships.ts";
import { reachedBy } from "./effects.ts";
import { Expiry } from "./expiry.ts";
import { type AppliedFirst, Reference } from "./reference.ts";
import { States } from "./states.ts";
import { WalModel } from "./wal-model.ts";

/** What a new leader's log has, as far as it is asked. */
export interface LeaderLog {
  /** The first entry that it holds; those before were committed and are in its snapshot. */
  readonly firstIndex: number;
  readonly configuration: Configuration;
  /** As far as it knows. */
  readonly commit: number;
  crcAt(index: number): number | undefined;
}

interface Looked {
  status(): {
    readonly commit: number;
    readonly lastIndex: number;
    readonly configuration: Configuration;
  };
}

export class Oracles {
  /** What did not hold. */
  failure: string | null = null;
  readonly reference: Reference = new Reference();
  /** Tells whether of commands of one identity, of which so many stand in the log, one was answered as not applied. */
  isRefused: (identity: string, times: number) => boolean = () => false;
  /** Called when a term has a leader. */
  onLeader: (term: number) => void = () => {};
  /** Called when that has been judged. */
  onElected: (id: string) => void = () => {};
  /** Called when a node's state has become another. */
  onState: (id: string) => void = () => {};
  readonly memberships: Memberships;
  readonly #states: States = new States(this.reference);
  readonly #time: ClusterTime;
  readonly #expiry: Expiry;
  readonly #logs = new Map<string, WalModel>();
  readonly #duties = new Map<string, DiskDuties>();
  readonly #leaders = new Map<number, string>();
  /** The latest term that has had a leader. */
  #latestTerm = 0;
  /** The one when the last entry was found to be committed. */
  #committedBy = 0;
  /** Who voted for a candidate in a term. */
  readonly #voters = new Map<string, Set<string>>();
  readonly #chains = new Map<string, number>();
  readonly #probes: Probes;
  readonly #now: () => number;

  /** @param drift how much faster than true time clocks run at most, as a fraction. */
  constructor(birth: Configuration, probes: Probes, now: () => number, drift: number = 0) {
    this.#probes = probes;
    this.#time = new ClusterTime(drift);
    this.#expiry = new Expiry(this.reference.model, drift);
    this.#now = now;
    const fail = (what: string): void => this.fail(what);
    this.memberships = new Memberships({ birth, logs: this.#logs, probes, fail });
  }

  /** There is one more node. */
  entered(id: string): void {
    this.#logs.set(id, new WalModel());
    this.#duties.set(id, new DiskDuties());
  }

  fail(what: string): void {
    this.failure ??= what;
  }

  /** A message of the core leaves: what it vouches for has to be true. */
  sent(message: Message): void {
    const { from, term } = message;
    switch (message.type) {
      case "append":
        this.memberships.committed(from, message.commit);
        return this.#leads(from, term);
      case "heartbeat":
        this.memberships.committed(from, message.leaderCommit);
        return this.#leads(from, term);
      case "installSnapshot":
        this.memberships.snapshot(from, message.meta);
        return this.#leads(from, term);
      case "timeoutNow":
        return this.#leads(from, term);
      case "vote":
        return this.#promised(from, term, from);
      case "voteReply":
        if (message.granted) this.#grants(message.to, term, from);
        return;
      case "appendReply":
        if (message.success) this.#acknowledged(from, term, message.match);
        return this.#knows(from, term);
      case "preVote":
      case "preVoteReply":
        return;
      default:
        this.#knows(from, term);
    }
  }

  /** Looks at what these hold to be committed, who is alone tells nobody; and at whom they take for members. */
  look(machines: readonly { readonly id: string; readonly replica: Looked | null }[]): void {
    for (const { id, replica } of machines) {
      if (replica === null) continue;
      const { commit, lastIndex, configuration } = replica.status();
      this.memberships.committed(id, commit);
      const log = this.log(id);
      if (log.writing === 0 && log.last.index === lastIndex) this.#goesBy(id, configuration);
    }
  }

  #goesBy(id: string, configuration: Configuration): void {
    const expected = canonical(this.memberships.of(this.log(id), "runs"));
    const found = canonical(configuration);
    if (found !== expected) this.fail(`${id} goes by ${found}, and its log says ${expected}`);
  }

  becameLeader(id: string, term: number, log: LeaderLog): void {
    this.#leads(id, term);
    this.#isElected(id, term);
    this.#goesBy(id, log.configuration);
    this.duties(id).led();
    this.onLeader(term);
    // A candidate that slept finds its votes when others have led and committed since: it needn't have that.
    if (term <= this.#committedBy) return;
    // Who doesn't know yet that its removal is committed may have to lead, until it does (thesis 4.2.2).
    const { removed = [] } = this.memberships.at(log.commit).configuration;
    if (removed.includes(id)) this.fail(`${id} leads term ${term}, and was removed`);
    const { index, crc } = this.reference.last;
    if (index < log.firstIndex) return;
    const own = log.crcAt(index);
    if (own !== crc) {
      this.fail(
        `${id} leads term ${term} without the committed entry ${index} (has ${own}, not ${crc})`,
      );
    }
  }

  /** A write is handed to the disk. */
  walBegun(id: string, write: WalWrite): void {
    for (const { index, term, crc } of write.entries) {
      const name = `${index}@${term}`;
      this.#time.begun(index, term, this.#now());
      const known = this.#chains.get(name);
      if (known === undefined) this.#chains.set(name, crc);
      else if (known !== crc) {
        this.fail(`${id} writes ${name} with another history (logs don't match)`);
      }
    }
    if (write.truncateFrom !== null) this.#probes.reached("uncommitted entries cut");
    if (write.reset !== null) this.#probes.reached("log reset by a snapshot");
    const log = this.log(id);
    log.begun(write);
    this.memberships.begun(id, log, write.entries);
    if (write.hardState !== null) this.memberships.committed(id, write.hardState.commit);
  }

  log(id: string): WalModel {
    const log = this.#logs.get(id);
    if (log === undefined) throw new RangeError(`no node ${id}`);
    return log;
  }

  duties(id: string): DiskDuties {
    const duties = this.#duties.get(id);
    if (duties === undefined) throw new RangeError(`no node ${id}`);
    return duties;
  }

  /** A new process opened its directory: what an earlier one had begun and not finished is gone. */
  opened(id: string, files: ReadonlyMap<string, Uint8Array>): void {
    this.duties(id).begun();
    const left = [...files.keys()].filter((path) => path.endsWith(".tmp"));
    if (left.length > 0) this.fail(`${id} starts, and leaves ${left.join()} of its predecessor`);
  }

  /** A new process read its log back. */
  recovered(id: string, log: RecoveredLog): void {
    const found = this.log(id).recovered(log);
    if (found === "asPromised") this.#probes.reached("restart with nothing lost");
    else if (found === "more") this.#probes.reached("recovered a torn tail");
    else this.fail(`${id} restarts with another log than it had: ${found.differs}`);
  }

  /** A new process read back what a repair has kept of its log. */
  repairing(id: string, log: RecoveredLog): void {
    const differs = this.log(id).repairing(log);
    if (differs !== null) {
      this.fail(`${id} restarts with other promises than it had made: ${differs}`);
    }
  }

  applied(id: string, entry: Entry, result: KvResult): void {
    const isNew = entry.index > this.reference.lastIndex;
    const { wrong, first } = this.reference.applied(entry, result, this.#now());
    if (wrong !== null) this.fail(`${id} ${wrong}`);
    if (first !== null) this.#appliedFirst(id, entry, first);
    if (!this.log(id).holds(entry.index, entry.crc)) {
      this.fail(`${id} applied ${entry.index}@${entry.term}, which its own disk doesn't hold`);
    }
    this.memberships.committed(id, entry.index);
    if (isNew) {
      this.#committedBy = this.#latestTerm;
      this.#checkCommitted(id, entry);
    }
    this.duties(id).applied();
  }

  #appliedFirst(id: string, { index, term }: Entry, first: AppliedFirst): void {
    const { identity, time } = first;
    const times = identity === null ? 0 : this.reference.effects(identity).length;
    if (identity !== null && this.isRefused(identity, times)) {
      this.fail(`${id} applied ${identity} at ${index}, which was answered as not applied`);
    }
    reachedBy(first, this.#probes);
    const early = this.#expiry.applied(first, this.#time.begunAt(index, term));
    if (early !== null) this.fail(`${id} applied ${index}@${term}: ${early}`);
    const wrong = time === 0 ? null : this.#time.stamped(index, term, time);
    if (wrong !== null) this.fail(`${id} applied what came too soon: ${wrong}`);
  }

  /**
   * What is applied first has to be committed for good: on a quorum's disks, and whoever lacks it must be unable to
   * win an election from what the disks hold (leader completeness, thesis 3.6.3).
   */
  #checkCommitted(id: string, { index, term, crc }: Entry): void {
    const lacking = [...this.#logs].filter(([, log]) => !log.holds(index, crc));
    const has = (each: string): boolean => this.#logs.get(each)?.holds(index, crc) === true;
    if (!this.#counted(index, crc).some((configuration) => isQuorum(configuration, has))) {
      const names = lacking.map(([each]) => each).join();
      this.fail(`${id} applied ${index}@${term}, which is not on the disks of ${names}`);
    }
    for (const [candidate, log] of lacking) {
      const configuration = this.memberships.of(log, "restarts");
      const { voters, outgoing } = configuration;
      // Who knows that it lacks something doesn't campaign.
      if (log.owes) continue;
      if (!voters.includes(candidate) && !outgoing.includes(candidate)) continue;
      const grants = (voter: string): boolean => this.#logs.get(voter)?.isAheadOf(log) === false;
      if (!isQuorum(configuration, grants)) continue;
      const names = membersOf(configuration).filter(grants).join();
      this.fail(
        `${id} applied ${index}@${term}; ${candidate} lacks it and may be elected by ${names}`,
      );
    }
  }

  /** What a leader may have counted an entry by: the configuration as of it, or one that stands behind it. */
  #counted(index: number, crc: number): readonly Configuration[] {
    const later = [...this.#logs.values()].filter((log) =>
      (log.begunSeats.at(-1)?.index ?? 0) > index && log.holds(index, crc)
    );
    return [
      this.memberships.at(index).configuration,
      ...later.map((log) => this.memberships.of(log, "runs")),
    ];
  }

  /** A snapshot of a node's own state is taken. */
  snapshot(id: string, meta: SnapshotMeta): void {
    this.memberships.committed(id, meta.index);
    this.memberships.snapshot(id, meta);
  }

  /** A replica applied up to `index`; looked at now and then. */
  state(id: string, index: number, machine: KvMachine, when: "always" | "sometimes"): void {
    const wrong = this.#states.wrong(index, machine, when);
    if (wrong !== null) this.fail(`${id} ${wrong}`);
  }

  #leads(id: string, term: number): void {
    const known = this.#leaders.get(term);
    this.#latestTerm = Math.max(this.#latestTerm, term);
    if (known === undefined) this.#leaders.set(term, id);
    else if (known !== id) this.fail(`${known} and ${id} both lead term ${term}`);
  }

  #grants(candidate: string, term: number, voter: string): void {
    this.#promised(voter, term, candidate);
    const name = `${candidate}@${term}`;
    const voters = this.#voters.get(name) ?? new Set();
    this.#voters.set(name, voters.add(voter));
  }

  /** By a quorum's votes in this very term, its own among them: two leaders of a term are rarer than one too few. */
  #isElected(id: string, term: number): void {
    this.#promised(id, term, id);
    const voters = new Set(this.#voters.get(`${id}@${term}`)).add(id);
    const configuration = this.memberships.of(this.log(id), "runs");
    if (isQuorum(configuration, (each) => voters.has(each))) return;
    this.fail(`${id} leads term ${term} by the votes of ${[...voters].join()} alone`);
  }

  /** Nobody may hear of a term that its speaker could forget. */
  #knows(id: string, term: number): void {
    const { hardState } = this.log(id);
    if (hardState.term < term) {
      this.fail(`${id} speaks of term ${term}, and its disk has ${hardState.term}`);
    }
  }

  #promised(id: string, term: number, vote: string): void {
    const log = this.log(id);
    const { hardState } = log;
    const candidate = this.log(vote);
    // One that is of another term by now may have been cut.
    if (
      log.owes && candidate.hardState.term === term && (vote === id || log.isAheadOf(candidate))
    ) {
      this.fail(`${id} votes for ${vote} in term ${term}, who lacks what its disk held`);
    }
    if (hardState.term > term || (hardState.term === term && hardState.vote === vote)) return;
    this.fail(
      `${id} votes for ${vote} in term ${term}, and its disk has term ${hardState.term} and a vote for ${hardState.vote}`,
    );
  }

  /**
   * What a disk held while it was of the acknowledgement's term. One write may hold that and what a later leader cut of
   * it: whoever elected that leader hadn't the entries, so no majority acknowledges them.
   */
  #acknowledged(id: string, term: number, match: number): void {
    const { last, hardState } = this.log(id);
    if (match > last.index && hardState.term <= term) {
      this.fail(`${id} acknowledges ${match}, and its disk ends at ${last.index}`);
    }
  }
}
