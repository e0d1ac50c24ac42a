/**
 * What only a leader can do with its cluster, asked of any node: changing the members, handing leadership over. A node
 * that doesn't lead hands the request on, one hop. All of it may be asked again: what is already so is answered so.
 */
import { ChangeRefused, NotApplied, OutcomeUnknown, PeerUnreachable } from "../errors.ts";
import type { ManageReply, ManageRequest, MemberRequest, MembersView } from "../ports.ts";
import { isChanging } from "../raft/mod.ts";
import type { Answer, ChangeTarget, Index, NodeId, RequestId, Term } from "../raft/mod.ts";
import type { Driver } from "./driver.ts";
import { endsIn, planChange } from "./membership.ts";
import type { ReplicaParts } from "./parts.ts";

/** How often a change that goes on is looked at, in milliseconds. */
const lookIntervalMs = 20;
/** The leader answers so much before whoever handed the request on stops waiting, in milliseconds. */
const hopMs = 100;

export interface ManagementParts<Result> {
  readonly parts: ReplicaParts<Result>;
  readonly driver: Driver<Result>;
  /** A request id of this replica. */
  readonly nextId: () => RequestId;
  /** Resolves at the next change of leader or role, at `until` at the latest. */
  readonly leaderChange: (until: number) => Promise<void>;
}

/** Where a change began, and what it is to end in. */
interface Begun {
  readonly index: Index;
  readonly term: Term;
  readonly target: ChangeTarget;
}

export class Management<Result> {
  readonly #of: ManagementParts<Result>;
  readonly #awaited = new Map<RequestId, (answer: Answer) => void>();

  constructor(of: ManagementParts<Result>) {
    this.#of = of;
  }

  /** The core's answer to a request of ours. */
  onAnswer(answer: Answer): void {
    this.#awaited.get(answer.id)?.(answer);
  }

  /** No further answer comes. */
  abandon(): void {
    for (const [id, answer] of this.#awaited) {
      answer({ type: "transferRejected", id, reason: "notLeader" });
    }
  }

  /** This node's view, at once. */
  members(): MembersView {
    const { configuration, configurationIndex, commit } = this.#raft;
    const changing = isChanging(configuration) || configurationIndex > commit;
    return { configuration, changing };
  }

  /** See `Replica.changeMembers`. */
  async changeMembers(request: MemberRequest, timeoutMs: number): Promise<MembersView> {
    const reply = await this.#anywhere(request, timeoutMs);
    if (reply.type === "members") return reply;
    throw errorOf(reply);
  }

  /** See `Replica.transferLeadership`. */
  async transferLeadership(target: NodeId | null, timeoutMs: number): Promise<NodeId> {
    const reply = await this.#anywhere({ type: "transfer", target }, timeoutMs);
    if (reply.type === "transferred") return reply.leader;
    throw errorOf(reply);
  }

  /** A request that another node hands on. It goes no further: one hop. */
  async managed(request: ManageRequest, timeoutMs: number): Promise<ManageReply> {
    const deadline = this.#now() + Math.max(timeoutMs - hopMs, timeoutMs / 2);
    const reply = await this.#here(request, deadline);
    return reply ?? { type: "notApplied", reason: "no_leader", detail: "this node does not lead" };
  }

  get #raft(): Driver<Result>["raft"] {
    return this.#of.driver.raft;
  }

  #now(): number {
    return this.#of.parts.clock.now();
  }

  /** Does it where the leader is, as soon as there is one. */
  async #anywhere(request: ManageRequest, timeoutMs: number): Promise<ManageReply> {
    const { driver, leaderChange } = this.#of;
    const deadline = this.#now() + timeoutMs;
    while (this.#now() < deadline) {
      driver.assertRunning();
      const { leader } = this.#raft;
      const reply = leader === null
        ? null
        : leader === this.#of.parts.options.raft.id
        ? await this.#here(request, deadline)
        : await this.#there(leader, request, deadline);
      if (reply !== null) return reply;
      await leaderChange(Math.min(deadline, this.#now() + lookIntervalMs));
    }
    return { type: "notApplied", reason: "no_leader", detail: "no leader was found in time" };
  }

  /** Null where the leader certainly did nothing, for want of office. */
  async #there(
    leader: NodeId,
    request: ManageRequest,
    deadline: number,
  ): Promise<ManageReply | null> {
    try {
      const { transport } = this.#of.parts;
      const reply = await transport.manage(leader, request, deadline - this.#now());
      return reply.type === "notApplied" && reply.reason === "no_leader" ? null : reply;
    } catch (error) {
      if (!(error instanceof PeerUnreachable)) throw error;
      return error.maybeReceived ? { type: "unknown" } : null;
    }
  }

  /** Null where this node does not lead (any more) and nothing was appended. */
  async #here(request: ManageRequest, deadline: number): Promise<ManageReply | null> {
    this.#of.driver.assertRunning();
    if (this.#raft.role !== "leader") return null;
    if (request.type === "transfer") return await this.#transfer(request.target, deadline);
    try {
      return await this.#change(request, deadline);
    } catch (error) {
      if (!(error instanceof ChangeRefused)) throw error;
      return { type: "refused", code: error.code, detail: error.message };
    }
  }

  async #transfer(target: NodeId | null, deadline: number): Promise<ManageReply | null> {
    const answer = await this.#ask((id) => ({ type: "transfer", id, target }), deadline);
    if (answer?.type === "transferred") return { type: "transferred", leader: answer.leader };
    const reason = answer?.type === "transferRejected" ? answer.reason : "timedOut";
    if (reason === "notLeader") return null;
    const detail = `leadership was not handed over: ${reason}`;
    return { type: "notApplied", reason: "not_ready", detail };
  }

  /** Begins a change and waits for its end. @throws {ChangeRefused} */
  async #change(request: MemberRequest, deadline: number): Promise<ManageReply | null> {
    const { configuration, configurationIndex: index } = this.#raft;
    const plan = planChange(configuration, request);
    const { target } = plan;
    if (plan.type === "underWay") {
      return await this.#end({ index, term: this.#raft.termAt(index) ?? 0, target }, deadline);
    }
    const { cancels } = plan;
    if (!(await this.#isHeard(target, deadline))) return null;
    const answer = await this.#ask((id) => ({ type: "change", id, target, cancels }), deadline);
    // Refused for now: a leader that is new, or hands over, or whose last change isn't committed yet.
    if (answer?.type !== "changed") return null;
    return await this.#end({ index: answer.index, term: answer.term, target }, deadline);
  }

  /**
   * Whether all is as it should be at once. A majority that doesn't answer could neither carry the change on nor let it
   * be taken back. Newcomers have to answer before they count. What has held this process up makes others look silent:
   * they are given the time of an election, and then the change is planned anew.
   * @throws {ChangeRefused} where they stay so.
   */
  async #isHeard(target: ChangeTarget, deadline: number): Promise<boolean> {
    const { clock, options } = this.#of.parts;
    const until = Math.min(deadline, this.#now() + options.raft.electionTimeoutMs);
    for (let looks = 1;; looks++) {
      const silent = this.#silentIn(target);
      if (2 * silent.length < target.voters.length) return looks === 1;
      if (this.#now() >= until) {
        const [left, unheard] = [target.voters.join(", "), silent.join(", ")];
        throw new ChangeRefused(
          "bad_request",
          `of the voters ${left} that would be left, ${unheard} can't be heard from: no majority would be there`,
        );
      }
      await new Promise<void>((resolve) => clock.timer(this.#now() + lookIntervalMs, resolve));
    }
  }

  #silentIn({ voters }: ChangeTarget): NodeId[] {
    const { progress, id: self } = this.#raft.status();
    const { electionTimeoutMs } = this.#of.parts.options.raft;
    const since = this.#now() - 2 * electionTimeoutMs;
    return voters.filter((id) => {
      const peer = progress.find((each) => each.id === id);
      return id !== self && peer !== undefined && (peer.lastReply ?? -Infinity) < since;
    });
  }

  async #ask(
    event: (id: RequestId) => Parameters<Driver<Result>["step"]>[0],
    deadline: number,
  ): Promise<Answer | null> {
    const { driver, nextId, parts } = this.#of;
    const id = nextId();
    try {
      return await new Promise<Answer | null>((resolve) => {
        const cancel = parts.clock.timer(deadline, () => resolve(null));
        this.#awaited.set(id, (answer) => {
          cancel();
          resolve(answer);
        });
        driver.step(event(id));
      });
    } finally {
      this.#awaited.delete(id);
    }
  }

  /** Waits until a change that has begun is over, or for as long as it may. */
  async #end({ index, term, target }: Begun, deadline: number): Promise<ManageReply> {
    const { driver, leaderChange } = this.#of;
    for (;;) {
      const begun = this.#raft.commit >= index;
      // Behind a snapshot the entry's term is gone: in our own term it is ours, later it may be another leader's.
      const known = this.#raft.termAt(index) ?? (this.#raft.term === term ? term : undefined);
      const there = begun ? known : term;
      if (there !== undefined && there !== term) {
        const detail = "leadership was lost before the change was replicated";
        return { type: "notApplied", reason: "no_leader", detail };
      }
      const view = this.members();
      // Behind a snapshot the term is gone: whether the change was committed, or cut, only what came of it may tell.
      if (there === undefined && !endsIn(view.configuration, target)) return { type: "unknown" };
      const isRunning = driver.state === "running";
      if (begun && (!view.changing || this.#now() >= deadline)) return { type: "members", ...view };
      if (!isRunning || this.#now() >= deadline) return { type: "unknown" };
      await leaderChange(Math.min(deadline, this.#now() + lookIntervalMs));
    }
  }
}

function errorOf(reply: ManageReply): Error {
  switch (reply.type) {
    case "refused":
      return new ChangeRefused(reply.code, reply.detail);
    case "notApplied":
      return new NotApplied(reply.reason, reply.detail);
    case "members":
    case "transferred":
    case "unknown":
      return new OutcomeUnknown("the leader did not learn the change's fate in time");
  }
}
