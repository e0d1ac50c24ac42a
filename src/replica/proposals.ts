/**
 * Proposals on their way: gathered for one turn of the event loop, then known by the index they were appended at.
 * What an index turns out to hold decides a proposal's fate: its own entry (applied), another's (certainly void),
 * or nothing in time (unknown).
 */
import { NotApplied, OutcomeUnknown } from "../errors.ts";
import type { Clock, ProposalLimits, ReplicaObserver, Span } from "../ports.ts";
import type { Answer, RaftEvent } from "../raft/step.ts";
import type { Entry, Index, RequestId, Term } from "../raft/types.ts";
import { Trail, Trails } from "./trail.ts";

/** Where a command was applied, and what came of it. */
export interface Applied<Result> {
  readonly index: Index;
  readonly term: Term;
  readonly result: Result;
}

/** Nothing was appended, because this replica does not lead (any more): another one may be asked. */
export class NotLeader extends Error {
  override readonly name = "NotLeader";
}

type ProposeEvent = Extract<RaftEvent, { readonly type: "propose" }>;

/** Whose a proposal is: a client's, or the leader's own, which goes first and is refused for no client's sake. */
export type ProposalLane = "own" | "clients";

/** How a command is proposed. */
export interface Asked {
  /** `clients` unless told. */
  readonly lane?: ProposalLane;
  /** By then its fate is told, if only as unknown. */
  readonly deadline: number;
  readonly span?: Span | null;
}

export interface ProposalsParts {
  readonly observer: ReplicaObserver;
  readonly clock: Pick<Clock, "now">;
  readonly options: { readonly proposals: ProposalLimits };
}

interface Proposal<Result> {
  readonly command: Uint8Array;
  readonly startedAt: number;
  readonly deadline: number;
  readonly resolve: (applied: Applied<Result>) => void;
  readonly reject: (error: Error) => void;
  /** Where it was appended; 0 before that. */
  index: Index;
  term: Term;
  /** Null where nobody follows it. */
  readonly trail: Trail | null;
}

export class Proposals<Result> {
  readonly trails: Trails = new Trails();
  readonly #observer: ReplicaObserver;
  readonly #clock: Pick<Clock, "now">;
  readonly #limits: ProposalLimits;
  #gathering: Record<ProposalLane, Proposal<Result>[]> = { own: [], clients: [] };
  readonly #submitted = new Map<RequestId, Proposal<Result>[]>();
  readonly #appended = new Map<Index, Proposal<Result>>();
  /**
   * Those whose index another one of ours took, in a later term of office: nobody knows yet whose entry is committed
   * there.
   */
  #displaced: Proposal<Result>[] = [];

  constructor({ observer, clock, options }: ProposalsParts) {
    this.#observer = observer;
    this.#clock = clock;
    this.#limits = options.proposals;
  }

  /** Proposals whose fate is open. */
  get pending(): number {
    const { own, clients } = this.#gathering;
    return own.length + clients.length + this.#appended.size + this.#displaced.length;
  }

  /** Joins this turn's batch. @throws {NotLeader} {NotApplied} {OutcomeUnknown} */
  gather(
    command: Uint8Array,
    { lane = "clients", deadline, span = null }: Asked,
  ): Promise<Applied<Result>> {
    const now = this.#clock.now();
    const trail = span === null ? null : new Trail(span);
    return new Promise((resolve, reject) => {
      const fate = { resolve, reject, index: 0, term: 0, trail };
      const proposal = { command, startedAt: now, deadline, ...fate };
      if (lane === "clients" && this.#isSlow(now)) {
        const reason = "what was proposed before takes too long";
        return this.#refuse(proposal, new NotApplied("overloaded", reason), now);
      }
      this.#gathering[lane].push(proposal);
    });
  }

  /** Whether the way through the log is so long that one more might not be answered in its time. */
  #isSlow(now: number): boolean {
    const { delayMsMax, pendingMin } = this.#limits;
    if (this.#appended.size < pendingMin) return false;
    // In the order of the log, and so of their coming.
    const [oldest] = this.#appended.values();
    return oldest !== undefined && now - oldest.startedAt > delayMsMax;
  }

  /** This turn's batches, each as an event for the core under an id of its own: the leader's own first. */
  submit(nextId: () => RequestId): ProposeEvent[] {
    const { own, clients } = this.#gathering;
    if (own.length + clients.length === 0) return [];
    this.#gathering = { own: [], clients: [] };
    const events: ProposeEvent[] = [];
    for (const batch of [own, clients]) {
      if (batch.length === 0) continue;
      const id = nextId();
      const commands = batch.map((proposal) => proposal.command);
      this.#submitted.set(id, batch);
      events.push({ type: "propose", id, commands, ...(batch === own ? { own: true } : {}) });
    }
    return events;
  }

  onProposed(answer: Extract<Answer, { type: "proposed" }>, now: number): void {
    const batch = this.#submitted.get(answer.id) ?? [];
    this.#submitted.delete(answer.id);
    for (const [i, proposal] of batch.entries()) {
      if (i < answer.accepted) {
        proposal.term = answer.term;
        proposal.index = answer.firstIndex + i;
        const before = this.#appended.get(proposal.index);
        if (before !== undefined) this.#displaced.push(before);
        this.#appended.set(proposal.index, proposal);
        if (proposal.trail !== null) this.trails.appended(proposal.index, proposal.trail);
      } else if (answer.reason === "overloaded") {
        this.#refuse(
          proposal,
          new NotApplied("overloaded", "too much is waiting to be committed"),
          now,
        );
      } else {
        proposal.trail?.end("no_leader");
        proposal.reject(new NotLeader());
      }
    }
  }

  /** An entry was applied here: whoever proposed at its index learns what became of it. */
  onApplied(entry: Entry, result: Result | null, now: number): void {
    const proposal = this.#appended.get(entry.index);
    if (proposal !== undefined) {
      this.#appended.delete(entry.index);
      this.#decide(proposal, entry, result, now);
    }
    for (const each of this.#takeDisplaced(({ index }) => index === entry.index)) {
      this.#decide(each, entry, result, now);
    }
  }

  #decide(proposal: Proposal<Result>, entry: Entry, result: Result | null, now: number): void {
    if (proposal.term !== entry.term || result === null) {
      // Another leader's entry is committed here, so ours can never be (Log Matching, thesis 3.5).
      this.#refuse(
        proposal,
        new NotApplied("no_leader", "leadership was lost before the write was replicated"),
        now,
      );
      return;
    }
    this.#observer.proposalEnded("ok", (now - proposal.startedAt) / 1000);
    proposal.trail?.end(null);
    proposal.resolve({ index: entry.index, term: entry.term, result });
  }

  /** A snapshot took the place of the log up to `index`: what stood there cannot be told any more. */
  onRestored(index: Index, now: number): void {
    for (const [at, proposal] of this.#appended) {
      if (at > index) continue;
      this.#appended.delete(at);
      this.#giveUp(proposal, now);
    }
    for (const each of this.#takeDisplaced((one) => one.index <= index)) this.#giveUp(each, now);
  }

  /** Ends what is past its deadline. Cheap: what is in flight at a time is bounded by the uncommitted bytes. */
  expire(now: number): void {
    for (const [index, proposal] of this.#appended) {
      if (proposal.deadline > now) continue;
      this.#appended.delete(index);
      this.#giveUp(proposal, now);
    }
    for (const each of this.#takeDisplaced(({ deadline }) => deadline <= now)) {
      this.#giveUp(each, now);
    }
  }

  /** The replica halts or stops: what was appended has an unknown fate, the rest was not proposed. */
  abandon(now: number): void {
    for (const proposal of this.#appended.values()) this.#giveUp(proposal, now);
    this.#appended.clear();
    for (const proposal of this.#takeDisplaced(() => true)) this.#giveUp(proposal, now);
    const { own, clients } = this.#gathering;
    const unproposed = [...own, ...clients];
    this.#gathering = { own: [], clients: [] };
    for (const proposal of unproposed) {
      this.#refuse(proposal, new NotApplied("not_ready", "this node is stopping"), now);
    }
    for (const batch of this.#submitted.values()) {
      for (const proposal of batch) this.#giveUp(proposal, now);
    }
    this.#submitted.clear();
  }

  #takeDisplaced(wanted: (proposal: Proposal<Result>) => boolean): readonly Proposal<Result>[] {
    if (this.#displaced.length === 0) return this.#displaced;
    const taken = this.#displaced.filter(wanted);
    if (taken.length > 0) this.#displaced = this.#displaced.filter((each) => !taken.includes(each));
    return taken;
  }

  #refuse(proposal: Proposal<Result>, error: NotApplied, now: number): void {
    this.#observer.proposalEnded("not_applied", (now - proposal.startedAt) / 1000);
    proposal.trail?.end(error.reason);
    proposal.reject(error);
  }

  #giveUp(proposal: Proposal<Result>, now: number): void {
    this.#observer.proposalEnded("unknown", (now - proposal.startedAt) / 1000);
    proposal.trail?.end("outcome_unknown");
    proposal.reject(new OutcomeUnknown("proposed, and its fate was not learned in time"));
  }
}
