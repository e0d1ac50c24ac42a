/**
 * A replica: the consensus core, its disk and its state machine, and the requests of its clients.
 *
 * Requests of one turn of the event loop go to the core as one batch. A follower hands writes to the leader, one hop,
 * and confirms reads with it. A command is proposed at most once: whether a request that failed may be sent again is
 * in the error's type.
 */
import { NotApplied } from "./errors.ts";
import type {
  ForwardReply,
  ManageReply,
  ManageRequest,
  MemberRequest,
  MembersView,
  PeerHandler,
  SnapshotChunk,
  SnapshotChunkReply,
  Span,
  StateMachine,
} from "./ports.ts";
import type { ReplyMessage, RequestMessage } from "./raft/message.ts";
import type { Answer } from "./raft/step.ts";
import type { Configuration, Entry, Index, NodeId, ReadLevel } from "./raft/types.ts";
import { Driver } from "./replica/driver.ts";
import { forwardCommand, forwardReply } from "./replica/forward.ts";
import { Management } from "./replica/management.ts";
import type { ReplicaParts } from "./replica/parts.ts";
import { type Applied, type Asked, NotLeader, Proposals } from "./replica/proposals.ts";
import { Reads } from "./replica/reads.ts";
import { type Health, healthOf, type ReplicaStatus } from "./replica/status.ts";
import { Sweep } from "./replica/sweep.ts";
import { type Timekeeper, timekeeperOf } from "./replica/timekeeper.ts";
import { Waiters } from "./replica/waiters.ts";

export type { Applied } from "./replica/proposals.ts";
export type { ReplicaOptions, ReplicaParts } from "./replica/parts.ts";
export type { Health, HealthCheck, ReplicaStatus } from "./replica/status.ts";

/** How long a request waits before it asks again where no leader is known, in milliseconds. */
const retryIntervalMs = 20;
/** By then a command of the leader's own is proposed again, in milliseconds. */
const dutyTimeoutMs = 5000;

export class Replica<Result> implements PeerHandler {
  readonly id: NodeId;
  readonly clusterId: string;
  readonly machine: StateMachine<Result>;

  readonly #parts: ReplicaParts<Result>;
  readonly #driver: Driver<Result>;
  readonly #proposals: Proposals<Result>;
  readonly #reads = new Reads();
  readonly #sweep: Sweep;
  readonly #management: Management<Result>;
  /** Null where the state machine keeps no time. */
  readonly #timekeeper: Timekeeper | null;
  /** For a change of leader or role. */
  readonly #office: Waiters;
  #nextId = 1;
  #flushing = false;

  private constructor(parts: ReplicaParts<Result>, driver: Driver<Result>) {
    this.#parts = parts;
    this.#driver = driver;
    this.id = parts.options.raft.id;
    this.clusterId = parts.options.clusterId;
    this.machine = parts.machine;
    this.#office = new Waiters(parts.clock);
    this.#proposals = new Proposals(parts);
    this.#sweep = new Sweep(parts.clock, [this.#proposals, this.#reads]);
    this.#management = new Management({
      parts,
      driver,
      nextId: () => this.#nextId++,
      leaderChange: (until) => this.#office.change(until),
    });
    this.#timekeeper = timekeeperOf(parts, driver, async (command) => {
      const deadline = parts.clock.now() + dutyTimeoutMs;
      return await this.#proposeHere(command, { lane: "own", deadline }) !== null;
    });
  }

  /**
   * Restores the state machine and the log from disk. It takes no part until `start`.
   * @throws {CorruptData} {InvariantViolation} where snapshot and log contradict each other.
   */
  static async open<Result>(parts: ReplicaParts<Result>): Promise<Replica<Result>> {
    return new Replica(parts, await Driver.open(parts));
  }

  /** Resolves with the reason when a broken invariant or a failed write has halted this replica. */
  get halted(): Promise<Error> {
    return this.#driver.halted;
  }

  /** Resolves when the log that was applied here says that this node is a member no more. */
  get removed(): Promise<void> {
    return this.#driver.removed;
  }

  /** Who takes part, as the log that was applied here says: committed, where `members` need not be. */
  get appliedConfiguration(): Configuration {
    return this.#driver.appliedConfiguration;
  }

  /** The Raft term that this node is in. */
  get term(): number {
    return this.#driver.raft.term;
  }

  /** Begins to take part. */
  start(): void {
    const { clock } = this.#parts;
    this.#driver.start({
      onAnswer: (answer) => this.#answer(answer),
      onLogged: (entries) => this.#timekeeper?.onLogged(entries),
      onDurable: (entries) => this.#proposals.trails.durable(entries.at(-1)?.index ?? 0),
      onCommitted: (index) => this.#proposals.trails.committed(index),
      onApplied: (entry, result) => this.#proposals.onApplied(entry, result, clock.now()),
      onAppliedUpTo: (index) => {
        this.#reads.onApplied(index);
        this.#timekeeper?.onApplied();
      },
      onRestored: (index) => this.#proposals.onRestored(index, clock.now()),
      onOffice: () => {
        this.#timekeeper?.onOffice();
        this.#office.wake();
      },
      onEnd: () => {
        this.#timekeeper?.stop();
        this.#proposals.abandon(clock.now());
        this.#reads.abandon();
        this.#management.abandon();
        this.#office.wake();
      },
    });
  }

  /**
   * Gets a command applied, wherever the leader is: here, or by one hop to it. A command is proposed at most once.
   *
   * @example
   * ```ts ignore
   * const { index, result } = await replica.propose(command, 2000);
   * ```
   * @throws {NotApplied} when the cluster certainly did not and will not apply it.
   * @throws {OutcomeUnknown} when that cannot be told within `timeoutMs`.
   */
  async propose(
    command: Uint8Array,
    timeoutMs: number,
    span: Span | null = null,
  ): Promise<Applied<Result>> {
    const { clock } = this.#parts;
    const deadline = clock.now() + timeoutMs;
    while (clock.now() < deadline) {
      this.#driver.assertRunning();
      const leader = this.#driver.raft.leader;
      const applied = leader === null
        ? null
        : leader === this.id
        ? await this.#proposeHere(command, { deadline, span })
        : await forwardCommand(this.#parts, leader, command, { deadline, span });
      if (applied !== null) return applied;
      await this.#office.change(Math.min(deadline, clock.now() + retryIntervalMs));
    }
    throw new NotApplied("no_leader", "no leader was found in time");
  }

  /**
   * Resolves when the state machine here reflects every write acknowledged, and everything any linearizable read
   * answered, before the call (thesis 6.4). Reading it in the same turn is then linearizable.
   * @throws {NotApplied} `no_leader` when that can't be confirmed within `timeoutMs`.
   */
  async read(level: ReadLevel, timeoutMs: number): Promise<void> {
    const { clock, observer } = this.#parts;
    const since = clock.now();
    const deadline = since + timeoutMs;
    for (let now = since; now < deadline; now = clock.now()) {
      this.#driver.assertRunning();
      if (this.#driver.raft.leader !== null) {
        const confirmed = this.#reads.gather(level, deadline);
        this.#flushSoon();
        if ((await confirmed) === "readable") {
          observer.readEnded(level, "confirmed", (clock.now() - since) / 1000);
          return;
        }
      }
      await this.#office.change(Math.min(deadline, clock.now() + retryIntervalMs));
    }
    observer.readEnded(level, "failed", (clock.now() - since) / 1000);
    throw new NotApplied("no_leader", "no leader confirmed the read in time");
  }

  /** How old this node's own state is at most, in whole milliseconds; null before the first contact with a quorum. */
  stalenessMs(): number | null {
    const { ageMs } = this.#driver;
    return ageMs === null ? null : Math.ceil(ageMs);
  }

  /** The cluster's time in whole milliseconds, as far as this node can tell; 0 where the state machine keeps none. */
  time(): number {
    return this.#timekeeper?.now() ?? 0;
  }

  status(): ReplicaStatus {
    return {
      ...this.#driver.raft.status(),
      clusterId: this.clusterId,
      pendingProposals: this.#proposals.pending,
      persistLagMs: this.#driver.persistLagMs,
      room: this.#driver.room.status,
    };
  }

  /** Entries that the log still holds, from `from` on. */
  entries(from: Index, limit: number): readonly Entry[] {
    return this.#driver.raft.entries(from, limit);
  }

  health(): Health {
    const { electionTimeoutMs } = this.#parts.options.raft;
    return healthOf({
      state: this.#driver.state,
      leader: this.#driver.raft.leader,
      persistLagMs: this.#driver.persistLagMs,
      stalenessMs: this.stalenessMs(),
      patienceMs: 4 * electionTimeoutMs,
      room: this.#driver.room.status,
    });
  }

  /**
   * Hands leadership to `target`, or to the most caught-up voter. Any node takes it. Resolves with the new leader.
   * @throws {NotApplied} where the target did not take over. {OutcomeUnknown}
   */
  transferLeadership(target: NodeId | null, timeoutMs: number): Promise<NodeId> {
    return this.#management.transferLeadership(target, timeoutMs);
  }

  /**
   * Changes who takes part (thesis 4). Any node takes it. Resolves when the change is over; or when `timeoutMs` are and
   * it goes on, which `changing` says: newcomers are still catching up. What is already so resolves at once.
   *
   * @example
   * ```ts ignore
   * await replica.changeMembers({ type: "add", id: "n4", url: "http://10.0.0.4:4001", voter: true }, 2000);
   * ```
   * @throws {ChangeRefused} where it makes no sense, or another change is under way. {NotApplied} {OutcomeUnknown}
   */
  changeMembers(request: MemberRequest, timeoutMs: number): Promise<MembersView> {
    return this.#management.changeMembers(request, timeoutMs);
  }

  /** This node's view of the membership. */
  members(): MembersView {
    return this.#management.members();
  }

  /** What the state machine wants of a leader may have changed: it is looked at. */
  attend(): void {
    if (this.#driver.state === "running") this.#timekeeper?.look();
  }

  /** A member that nobody had heard of yet has come, in this life of its disk: a leader takes note of it. */
  bind(member: NodeId, incarnation: string): void {
    if (this.#driver.state === "running") this.#driver.step({ type: "bind", member, incarnation });
  }

  /** Ends at once; what is open is answered, as unknown where it was proposed. Resolves when the disk is closed. */
  stop(): Promise<void> {
    return this.#driver.stop();
  }

  receive(message: RequestMessage): Promise<ReplyMessage> {
    const { room } = this.#driver;
    return room.refuses(message) ? room.refuse() : this.#driver.receive(message);
  }

  managed(request: ManageRequest, timeoutMs: number): Promise<ManageReply> {
    return this.#management.managed(request, timeoutMs);
  }

  receiveChunk(chunk: SnapshotChunk): Promise<SnapshotChunkReply> {
    if (this.#driver.room.refusesChunk(chunk)) return Promise.resolve({ offset: 0, refused: true });
    return this.#driver.receiveChunk(chunk);
  }

  /** A command that a follower hands on. It goes no further: one hop. */
  forwarded(
    command: Uint8Array,
    timeoutMs: number,
    span: Span | null = null,
  ): Promise<ForwardReply> {
    return forwardReply(this.machine, () => {
      this.#driver.assertRunning();
      return this.#proposeHere(command, { deadline: this.#parts.clock.now() + timeoutMs, span });
    });
  }

  /** Null where this node does not lead (any more) and nothing was appended. */
  async #proposeHere(command: Uint8Array, asked: Asked): Promise<Applied<Result> | null> {
    const { raft, room } = this.#driver;
    if (raft.role !== "leader") return null;
    room.admit(command, raft.shortage);
    const proposed = this.#proposals.gather(command, asked);
    this.#flushSoon();
    try {
      return await proposed;
    } catch (error) {
      if (error instanceof NotLeader) return null;
      throw error;
    }
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    void this.#parts.clock.yield().then(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    if (this.#driver.state !== "running") return;
    for (const event of this.#proposals.submit(() => this.#nextId++)) {
      this.#timekeeper?.stamp(event.commands);
      this.#driver.step(event);
    }
    for (const read of this.#reads.submit(() => this.#nextId++)) {
      this.#driver.step({ type: "read", ...read });
    }
    this.#sweep.begin();
  }

  #answer(answer: Answer): void {
    const { type } = answer;
    if (type === "proposed") this.#proposals.onProposed(answer, this.#parts.clock.now());
    else if (type === "readRejected") this.#reads.onRejected(answer.id);
    else if (type !== "readable") this.#management.onAnswer(answer);
    else this.#reads.onReadable(answer.id, answer.index, this.#driver.appliedIndex);
  }
}
