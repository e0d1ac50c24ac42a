/**
 * The state that all chapters share, and the few ways to change it that more than one of them needs: terms, roles,
 * the log's growth and cut, and what a step gives back.
 *
 * Invariants: term, commit, applied never go back. applied ≤ handed out ≤ min(commit, durable) ≤ last. A leader's
 * `leadership` is present exactly while `role` is `leader`, a candidate's `campaign` while it is a candidate of
 * either kind.
 */
import { invariant } from "../assert.ts";
import { Freshness } from "./freshness.ts";
import { Journal } from "./journal.ts";
import { isAsFar, type LogEnd, RaftLog } from "./log.ts";
import { decodeConfiguration, isVoter } from "./membership.ts";
import type { Message, RequestMessage } from "./message.ts";
import type { Campaign, Leadership } from "./office.ts";
import type { restore } from "./restart.ts";
import type { Answer, Effects, RaftLimits, RaftOptions, RejectReason } from "./step.ts";
import type {
  Configuration,
  Entry,
  Index,
  Millis,
  NodeId,
  RequestId,
  Role,
  RoomLevel,
  SnapshotMeta,
  Term,
} from "./types.ts";

/** A configuration and the index of the entry that brought it. */
interface Seating {
  readonly index: Index;
  readonly configuration: Configuration;
}

/** What a step has gathered for its `Effects`, apart from the write. */
interface Outbox {
  send: Message[];
  answers: Answer[];
  restore: SnapshotMeta | null;
  compactBefore: Index | null;
}

export class Core {
  readonly options: RaftOptions;
  readonly log: RaftLog;
  readonly journal: Journal;

  term: Term;
  vote: NodeId | null;
  role: Role;
  leader: NodeId | null = null;
  commit: Index;
  applied: Index;
  snapshot: SnapshotMeta;

  leadership: Leadership | null = null;
  campaign: Campaign | null = null;
  /** A follower's reads at the leader: its request, and the `read` that it is for. */
  readonly remoteReads: Map<RequestId, RequestId> = new Map();
  /** The leader said that this entry is committed; known here once the log holds it. */
  vouched: { readonly index: Index; readonly term: Term } | null = null;
  /** A transfer that cost us the office, until the successor is known. */
  handover: { readonly id: RequestId; readonly until: Millis } | null = null;

  readonly freshness: Freshness = new Freshness();

  /** The id of the next request; ids only grow, so they also order requests by when they left. */
  nextRequest: RequestId = 1;

  /**
   * The end of the log that this node had and lost a part of: a disk decayed, and the log was cut, by more than the
   * protocol ever cuts. Null once the durable log's end is as far again, in the order by which votes compare.
   *
   * What was lost may have been acknowledged, and so be committed. Until then this node votes as if nothing were lost: it
   * grants nobody a vote whose log is behind that end, so elections go as they would have gone. And it doesn't campaign:
   * it lacks what it would have to have. Once the end is as far again, the last entry is of a later term than that end's,
   * and so of the log of a leader who was elected that way and had all that was committed before; or it is of the same
   * term, and what was lost is here again by log matching. Then its log speaks for itself. Term and vote were not lost,
   * and what it acknowledges meanwhile it holds, so it counts.
   */
  owes: LogEnd | null;

  /** Whether some other node may count on a promise that this one made before it (re)started. */
  readonly mayHavePromised: boolean;
  startedAt: Millis = -Infinity;
  /** When any leader was last heard from; what makes votes stick, whatever became of that leader. */
  leaderContact: Millis | null = null;
  electionDue: Millis = Infinity;
  /** Drawn anew for each attempt. */
  electionTimeout: Millis = 0;
  /** A late timer was granted its grace already. */
  graced = false;
  /** On the disk; and what leaders are told of it. */
  room: RoomLevel = "enough";
  toldRoom: RoomLevel = "enough";

  /** All entries up to here were handed out to be applied. */
  #handed: Index;
  #memberships: Seating[];
  #out: Outbox = { send: [], answers: [], restore: null, compactBefore: null };

  constructor(options: RaftOptions, start: ReturnType<typeof restore>) {
    this.options = options;
    this.log = new RaftLog(start.base, start.entries);
    this.term = start.term;
    this.vote = start.vote;
    this.commit = start.commit;
    this.snapshot = start.snapshot;
    this.owes = start.owes;
    this.applied = start.snapshot.index;
    this.#handed = start.snapshot.index;
    this.mayHavePromised = start.term > 0 || start.vote !== null || this.log.lastIndex > 0;
    this.journal = new Journal(this.log.lastIndex, start.writtenCommit);
    if (start.writesTerm) this.journal.termOrVoteChanged();
    if (start.writesReset) this.journal.reset(start.snapshot);
    this.#memberships = [{ index: 0, configuration: start.snapshot.configuration }];
    this.#adoptConfigurations(start.entries.filter(({ index }) => index > start.snapshot.index));
    this.role = this.isVoter ? "follower" : "learner";
    this.settleDebt();
  }

  get id(): NodeId {
    return this.options.id;
  }
  get limits(): RaftLimits {
    return this.options.limits;
  }
  /** In effect: the last one in the log, committed or not (thesis 4.1). */
  get configuration(): Configuration {
    return this.configurationAt(this.log.lastIndex);
  }
  get isVoter(): boolean {
    return isVoter(this.configuration, this.id);
  }

  /** The configuration that the log up to `index` makes; `index` at the latest snapshot's or after it. */
  configurationAt(index: Index): Configuration {
    const membership = this.#memberships.findLast((membership) => membership.index <= index);
    invariant(membership !== undefined, `no configuration at ${index}`);
    return membership.configuration;
  }

  /** The index of the entry that brought the configuration in effect; 0 where a snapshot or the birth did. */
  get configurationIndex(): Index {
    return this.#memberships.at(-1)?.index ?? 0;
  }

  /** Whether a committed change of membership still waits for the state machine. */
  get appliesMembership(): boolean {
    return this.#memberships.some(({ index }) => index > this.applied && index <= this.commit);
  }

  /** Whether the disk has owed a write for longer than an election timeout. */
  stalled(now: Millis): boolean {
    const since = this.journal.waitingSince;
    return since !== null && now - since > this.options.electionTimeoutMs;
  }

  // Messages and answers.

  request(to: NodeId): { from: NodeId; to: NodeId; term: Term; id: RequestId } {
    return { from: this.id, to, term: this.term, id: this.nextRequest++ };
  }

  reply(to: RequestMessage): { from: NodeId; to: NodeId; term: Term; id: RequestId } {
    return { from: this.id, to: to.from, term: this.term, id: to.id };
  }

  /** Sends at once, or behind the write that makes our term durable: nobody may see a term that we could forget. */
  post(message: Message): void {
    if (this.journal.promised) this.#out.send.push(message);
    else this.journal.sendAfter(message);
  }

  /** Sends when everything written so far is durable: `message` promises something about it. */
  promise(message: Message): void {
    if (this.journal.busy) this.journal.sendAfter(message);
    else this.#out.send.push(message);
  }

  answer(answer: Answer): void {
    this.#out.answers.push(answer);
  }

  rejectRead(id: RequestId, reason: RejectReason): void {
    this.answer({ type: "readRejected", id, reason });
  }

  // The log.

  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    this.log.append(entries);
    this.journal.appended(first.index);
    this.#adoptConfigurations(entries);
  }

  truncateFrom(index: Index): void {
    invariant(index > this.commit, `cut at ${index}, where ${this.commit} is committed`);
    this.log.truncateFrom(index);
    this.journal.truncated(index);
    this.#memberships = this.#memberships.filter((membership) => membership.index < index);
    this.#refreshRole();
  }

  commitTo(index: Index): void {
    invariant(index <= this.log.lastIndex, `commit ${index} beyond the end ${this.log.lastIndex}`);
    this.commit = Math.max(this.commit, index);
  }

  /** The log before `index` may go, and `snapshot` stands for it. */
  compact(snapshot: SnapshotMeta, index: Index): void {
    this.snapshot = snapshot;
    const later = this.#memberships.filter((membership) => membership.index > snapshot.index);
    this.#memberships = [{ index: 0, configuration: snapshot.configuration }, ...later];
    if (index <= this.log.firstIndex) return;
    this.log.compactBefore(index);
    this.#out.compactBefore = index;
  }

  /** A received snapshot takes the place of log and state. */
  restore(snapshot: SnapshotMeta): void {
    this.log.reset(snapshot);
    this.journal.reset(snapshot);
    this.#memberships = [{ index: 0, configuration: snapshot.configuration }];
    this.#refreshRole();
    this.snapshot = snapshot;
    this.commit = snapshot.index;
    this.#handed = snapshot.index;
    this.applied = snapshot.index;
    this.#out.restore = snapshot;
    this.#out.compactBefore = this.log.firstIndex;
  }

  /** Looks whether what is durable reaches as far as the log once did. */
  settleDebt(): void {
    if (this.owes === null || this.journal.resetting) return;
    const end = this.log.position(Math.min(this.journal.durable, this.log.lastIndex));
    if (end !== undefined && isAsFar(end, this.owes)) this.owes = null;
  }

  onApplied(index: Index): void {
    invariant(index <= this.#handed, `applied ${index}, handed out up to ${this.#handed}`);
    this.applied = Math.max(this.applied, index);
  }

  #adoptConfigurations(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.kind !== "configuration") continue;
      const configuration = decodeConfiguration(entry.payload);
      this.#memberships.push({ index: entry.index, configuration });
      this.#refreshRole();
    }
  }

  #refreshRole(): void {
    if (this.role !== "follower" && this.role !== "learner") return;
    this.role = this.isVoter ? "follower" : "learner";
  }

  // Terms and roles.

  /**
   * Draws a new election timeout t from [T, 2T), and waits for it from `now`. The square makes early ones likely: the
   * first of two comes at 1.17 T on average, not at 1.33 T.
   */
  armElection(now: Millis): void {
    this.electionTimeout = this.options.electionTimeoutMs * (1 + this.options.random() ** 2);
    this.electionDue = now + this.electionTimeout;
    this.graced = false;
  }

  /** The leader of this term was heard from. */
  hearLeader(from: NodeId, now: Millis): void {
    invariant(
      this.leader === null || this.leader === from,
      `two leaders in term ${this.term}: ${this.leader} and ${from}`,
    );
    if (this.leader === null) this.becomeFollower({ term: this.term, leader: from }, now);
    this.leaderContact = now;
    this.electionDue = now + this.electionTimeout;
    this.graced = false;
  }

  /** Follows `leader`, or waits for one where it is null. `term` may be ours or a later one. */
  becomeFollower(to: { readonly term: Term; readonly leader: NodeId | null }, now: Millis): void {
    invariant(to.term >= this.term, `term back from ${this.term} to ${to.term}`);
    if (to.term > this.term) {
      this.term = to.term;
      this.vote = null;
      this.journal.termOrVoteChanged();
      // Also where the same node leads again: what the earlier term's leader was asked, this one doesn't know.
      this.setLeader(null);
    }
    const office = this.leadership;
    const wasIdle = office === null && this.campaign === null;
    this.leadership = null;
    this.campaign = null;
    this.role = this.isVoter ? "follower" : "learner";
    if (office !== null) this.#leaveOffice(office);
    this.setLeader(to.leader);
    // A follower that merely learns a later term keeps its timer: else a hopeless candidate could hold all others back.
    if (!wasIdle) this.armElection(now);
  }

  setLeader(leader: NodeId | null): void {
    if (leader === this.leader) return;
    this.leader = leader;
    this.vouched = null;
    for (const id of this.remoteReads.values()) this.rejectRead(id, "notLeader");
    this.remoteReads.clear();
    if (leader === null || this.handover === null) return;
    const { id } = this.handover;
    this.handover = null;
    if (leader === this.id) this.answer({ type: "transferRejected", id, reason: "timedOut" });
    else this.answer({ type: "transferred", id, leader });
  }

  /** Every pending read fails, explicitly; a transfer waits to see its successor. */
  #leaveOffice(office: Leadership): void {
    const confirming = office.confirmingReads.map(({ read }) => read);
    for (const read of [...confirming, ...office.waitingReads, ...office.heldReads]) {
      if (read.from === this.id) this.rejectRead(read.id, "notLeader");
      else {
        const header = { from: this.id, to: read.from, term: this.term, id: read.id };
        this.post({ type: "readIndexReply", ...header, index: null, indexTerm: 0 });
      }
    }
    const { transfer } = office;
    if (transfer === null || transfer.id === null) return;
    this.handover = { id: transfer.id, until: transfer.until };
  }

  /** Ends a step: what it gathered, with what is now ready to be applied. */
  takeEffects(now: Millis): Effects {
    const ready = Math.min(this.commit, this.journal.durable);
    const apply = ready > this.#handed ? this.log.slice(this.#handed + 1, ready) : [];
    this.#handed = Math.max(this.#handed, ready);
    const { term, vote, commit } = this;
    const persist = this.journal.flush({ term, vote, commit }, this.log, now);
    const out = this.#out;
    this.#out = { send: [], answers: [], restore: null, compactBefore: null };
    return { ...out, persist, apply };
  }
}
