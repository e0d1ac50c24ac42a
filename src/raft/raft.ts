/** The core's one door: events in, effects out. */
import { unreachable } from "../assert.ts";
import * as changes from "./change.ts";
import { Core } from "./core.ts";
import { receive } from "./dispatch.ts";
import * as election from "./election.ts";
import type { LogEnd } from "./log.ts";
import * as priority from "./priority.ts";
import * as reads from "./read-index.ts";
import * as replication from "./replication.ts";
import { restore } from "./restart.ts";
import * as room from "./room.ts";
import * as snapshots from "./snapshot.ts";
import type {
  Effects,
  PeerStatus,
  RaftEvent,
  RaftOptions,
  RaftRestart,
  RaftStatus,
} from "./step.ts";
import * as transfer from "./transfer.ts";
import type {
  Configuration,
  Entry,
  Index,
  Millis,
  NodeId,
  RequestId,
  Role,
  Term,
} from "./types.ts";

function onTimeout(core: Core, now: Millis): void {
  const { handover } = core;
  if (handover !== null && now >= handover.until) transfer.onHandoverTimeout(core);
  if (core.leadership === null) {
    if (now >= election.electionDeadline(core)) election.onElectionTimeout(core, now);
    return;
  }
  if (now >= core.leadership.quorumCheckDue) election.onQuorumCheck(core, core.leadership, now);
  const office = core.leadership;
  if (office === null) return;
  if (now >= (office.transfer?.until ?? Infinity)) transfer.onTransferTimeout(core, office);
  if (now < office.heartbeatDue) return;
  reads.onHeartbeatInterval(core, office, now);
  priority.onHeartbeatInterval(core, office, now);
  room.onHeartbeatInterval(core, office, now);
}

function onPersisted(core: Core, seq: number, now: Millis): void {
  core.journal.persisted(seq);
  core.settleDebt();
  election.onVotePersisted(core, seq, now);
}

/** The request's answer won't come: whom it was for is probed, and what it was for fails. */
function onUnreachable(core: Core, peer: NodeId, request: RequestId): void {
  const read = core.remoteReads.get(request);
  if (read !== undefined) {
    core.remoteReads.delete(request);
    core.rejectRead(read, "notLeader");
  }
  const office = core.leadership;
  if (office === null || request < office.firstRequest) return;
  office.progress.get(peer)?.unreachable(request);
}

function onEvent(core: Core, event: RaftEvent, now: Millis): void {
  switch (event.type) {
    case "timeout":
      return onTimeout(core, now);
    case "receive":
      return receive(core, event.message, now);
    case "propose":
      return replication.onPropose(core, event);
    case "read":
      return reads.onRead(core, event, now);
    case "transfer":
      return transfer.onTransfer(core, event, now);
    case "change":
      return changes.onChange(core, event);
    case "bind":
      return changes.onBind(core, event);
    case "persisted":
      return onPersisted(core, event.seq, now);
    case "applied":
      return core.onApplied(event.index);
    case "snapshotted":
      return snapshots.onSnapshotted(core, event.meta, now);
    case "unreachable":
      return onUnreachable(core, event.peer, event.request);
    case "clockJumped":
      return reads.onClockJumped(core);
    case "room":
      core.room = event.level;
      core.toldRoom = event.tells ? event.level : "enough";
      return;
    default:
      unreachable(event);
  }
}

/** Draws a leader's consequences from what a step has learned: handlers record facts, and only here they act. */
function settle(core: Core, now: Millis): void {
  const office = core.leadership;
  if (office === null) return;
  replication.advanceCommit(core, office, now);
  changes.settleChange(core, office, now);
  // Who isn't to lead any more has just left office.
  if (core.leadership !== office) return;
  reads.settleReads(core, office, now);
  replication.feed(core, office, now);
  transfer.settleTransfer(core, office);
}

/** One replica's consensus state. See `mod.ts` for what it does and what it doesn't. */
export class Raft {
  readonly #core: Core;
  #now: Millis | null = null;

  /** @throws {InvariantViolation} where what the disk held contradicts itself. */
  constructor(options: RaftOptions, restart: RaftRestart) {
    this.#core = new Core(options, restore(restart));
  }

  /**
   * Takes one event in at the monotonic time `now` and returns what has to be done about it. Runs to completion.
   *
   * @throws {InvariantViolation} where the protocol or the code broke its word: the replica must halt.
   * @throws {MalformedBytes} where the leader sent an entry whose configuration can't be read: likewise.
   */
  step(event: RaftEvent, now: Millis): Effects {
    const core = this.#core;
    if (this.#now === null) election.start(core, now);
    this.#now = now;
    onEvent(core, event, now);
    settle(core, now);
    return core.takeEffects(now);
  }

  /** When this replica next wants a `timeout`; 0 before the first step, Infinity where it waits for no time. */
  deadline(): Millis {
    if (this.#now === null) return 0;
    const { leadership: office, handover } = this.#core;
    const until = handover?.until ?? Infinity;
    if (office === null) return Math.min(until, election.electionDeadline(this.#core));
    const { heartbeatDue, quorumCheckDue } = office;
    const noticeDue = office.noticeDue > this.#now ? office.noticeDue : Infinity;
    const transferUntil = office.transfer?.until ?? Infinity;
    return Math.min(until, heartbeatDue, quorumCheckDue, noticeDue, transferUntil);
  }

  /** The configuration in effect: the last one in the log, committed or not. */
  get configuration(): Configuration {
    return this.#core.configuration;
  }

  /** The configuration as of `index`, from the latest snapshot's on: what a snapshot at `index` carries. */
  configurationAt(index: Index): Configuration {
    return this.#core.configurationAt(index);
  }

  /** Where the configuration in effect stands in the log; 0 where a snapshot or the birth brought it. */
  get configurationIndex(): Index {
    return this.#core.configurationIndex;
  }

  get leader(): NodeId | null {
    return this.#core.leader;
  }

  entry(index: Index): Entry | undefined {
    return this.#core.log.entry(index);
  }

  /** At most `limit` entries from `from` on (or from the log's start, where that is later). */
  entries(from: Index, limit: number): readonly Entry[] {
    const first = Math.max(from, this.#core.log.firstIndex);
    return this.#core.log.slice(first, first + limit - 1);
  }

  /** The term at `index`, also right before the log's start; undefined elsewhere. */
  termAt(index: Index): Term | undefined {
    return this.#core.log.termAt(index);
  }

  /** The chain CRC at `index`, also right before the log's start; undefined elsewhere. */
  crcAt(index: Index): number | undefined {
    return this.#core.log.position(index)?.crc;
  }

  get term(): Term {
    return this.#core.term;
  }

  /** How far the log was before a part of it was lost, until it is as far again: see `Core.owes`. Else null. */
  get owes(): LogEnd | null {
    return this.#core.owes;
  }

  get role(): Role {
    return this.#core.role;
  }

  /** What keeps this leader from taking commands, for want of room on disks; null where nothing does, and elsewhere. */
  get shortage(): room.Shortage | null {
    return room.shortage(this.#core);
  }

  get commit(): Index {
    return this.#core.commit;
  }

  /** The index that the latest snapshot stands for. */
  get snapshotIndex(): Index {
    return this.#core.snapshot.index;
  }

  /**
   * A state that reflects all entries up to `applied` holds all that was committed at this time; null before this node
   * ever heard of a quorum. A snapshot counts as applied here as soon as it was accepted, which the driver's state
   * machine may not reflect yet.
   */
  freshAt(now: Millis, applied: Index = this.#core.applied): Millis | null {
    const core = this.#core;
    const { leadership: office, commit } = core;
    const alone = office !== null && office.progress.size === 0;
    // Before its term's first commit even a sole leader may not know all that it once acknowledged.
    if (alone && commit >= office.firstIndex && applied === commit) return now;
    return core.freshness.freshAt(applied);
  }

  status(): RaftStatus {
    const core = this.#core;
    const { index: lastIndex, term: lastTerm } = core.log.last;
    return {
      id: core.id,
      role: core.role,
      term: core.term,
      vote: core.vote,
      leader: core.leader,
      commit: core.commit,
      applied: core.applied,
      lastIndex,
      lastTerm,
      firstIndex: core.log.firstIndex,
      snapshotIndex: core.snapshot.index,
      configuration: core.configuration,
      progress: this.#progress(),
    };
  }

  #progress(): PeerStatus[] {
    const peers = this.#core.leadership?.progress ?? [];
    return [...peers].map(([id, { match, state, lastReply }]) => ({ id, match, state, lastReply }));
  }
}
