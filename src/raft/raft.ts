/** The core's one door: events in, effects out. */
import { invariant, unreachable } from "../assert.ts";
import { Core } from "./core.ts";
import * as election from "./election.ts";
import { isReply } from "./message.ts";
import type { Message, MessageType, ReplyMessage, RequestMessage } from "./message.ts";
import * as reads from "./read-index.ts";
import * as replication from "./replication.ts";
import { restore } from "./restart.ts";
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

type MessageMap = { readonly [M in Message as M["type"]]: M };
type MessageOf<T extends MessageType> = {
  readonly [K in T]: { readonly type: K } & MessageMap[K];
}[T];
type Handler<T extends MessageType> = (core: Core, message: MessageMap[T], now: Millis) => void;
type Handlers = { readonly [T in MessageType]: Handler<T> };

/** The reply came too late: this role awaits none of its kind. */
const ignore = (): void => {};

/** Only this term's leader sends these, and it is us. */
function twoLeaders(core: Core, message: Message): void {
  invariant(false, `two leaders in term ${core.term}: ${core.id} and ${message.from}`);
}

const FOLLOWER: Handlers = {
  preVote: election.onPreVote,
  preVoteReply: ignore,
  vote: election.onVote,
  voteReply: ignore,
  append: replication.onAppend,
  appendReply: ignore,
  heartbeat: reads.onHeartbeat,
  heartbeatReply: ignore,
  installSnapshot: snapshots.onInstallSnapshot,
  installSnapshotReply: ignore,
  timeoutNow: election.onTimeoutNow,
  timeoutNowReply: ignore,
  readIndex: refuse,
  readIndexReply: reads.onReadIndexReply,
};

const HANDLERS: Record<Role, Handlers> = {
  follower: FOLLOWER,
  learner: { ...FOLLOWER, timeoutNow: refuse },
  preCandidate: { ...FOLLOWER, preVoteReply: election.onPreVoteReply, readIndexReply: ignore },
  candidate: {
    ...FOLLOWER,
    voteReply: election.onVoteReply,
    timeoutNow: refuse,
    readIndexReply: ignore,
  },
  leader: {
    preVote: election.onPreVote,
    preVoteReply: ignore,
    vote: election.onVote,
    voteReply: ignore,
    append: twoLeaders,
    appendReply: replication.onAppendReply,
    heartbeat: twoLeaders,
    heartbeatReply: reads.onHeartbeatReply,
    installSnapshot: twoLeaders,
    installSnapshotReply: snapshots.onInstallSnapshotReply,
    timeoutNow: twoLeaders,
    timeoutNowReply: ignore,
    readIndex: reads.onReadIndex,
    readIndexReply: ignore,
  },
};

function dispatch<T extends MessageType>(core: Core, message: MessageOf<T>, now: Millis): void {
  HANDLERS[core.role][message.type](core, message, now);
}

function receive(core: Core, message: Message, now: Millis): void {
  invariant(message.to === core.id, `a message for ${message.to} came to ${core.id}`);
  if (isReply(message)) receiveReply(core, message, now);
  else receiveRequest(core, message, now);
}

function receiveRequest(core: Core, message: RequestMessage, now: Millis): void {
  const { term, from, type } = message;
  // Candidates' terms count only for whom they win over: see `onPreVote` and `onVote`.
  if (type === "preVote") return dispatch(core, message, now);
  // The answer carries our term, and lets a leader or candidate of an earlier one step down.
  if (term < core.term) return refuse(core, message);
  if (term > core.term && type !== "vote") {
    const leader = type === "readIndex" ? null : from;
    core.becomeFollower({ term, leader }, now);
  }
  dispatch(core, message, now);
}

function receiveReply(core: Core, message: ReplyMessage, now: Millis): void {
  const { term, type } = message;
  const isVote = type === "preVoteReply" || type === "voteReply";
  // Who has found a leader since doesn't leave it over what a candidacy of its own brings in late.
  if (isVote && core.campaign === null) return;
  const asked = type === "preVoteReply" && message.granted;
  if (term > core.term && !asked) return core.becomeFollower({ term, leader: null }, now);
  if (term < core.term && !isVote) return;
  // The term is the answerer's: the request may be of an earlier office of ours, and its rounds were others.
  if (core.leadership !== null && message.id < core.leadership.firstRequest) return;
  dispatch(core, message, now);
}

/** Answers what this node won't do, for whatever reason: its term in the answer says why. */
function refuse(core: Core, message: RequestMessage): void {
  const header = core.reply(message);
  switch (message.type) {
    case "preVote":
      return core.post({ type: "preVoteReply", ...header, granted: false });
    case "vote":
      return core.post({ type: "voteReply", ...header, granted: false });
    case "append": {
      const rejection = { match: 0, rejectedIndex: message.previousIndex, conflictTerm: 0 };
      const conflictIndex = core.log.lastIndex + 1;
      const reply = { success: false, ...rejection, conflictIndex };
      return core.post({ type: "appendReply", ...header, ...reply });
    }
    case "heartbeat":
      return core.post({ type: "heartbeatReply", ...header, round: 0 });
    case "installSnapshot":
      return core.post({ type: "installSnapshotReply", ...header, success: false, match: 0 });
    case "timeoutNow":
      return core.post({ type: "timeoutNowReply", ...header });
    case "readIndex":
      return core.post({ type: "readIndexReply", ...header, index: null, indexTerm: 0 });
    default:
      unreachable(message);
  }
}

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
  if (now >= office.heartbeatDue) reads.onHeartbeatInterval(core, office, now);
}

function onPersisted(core: Core, seq: number, now: Millis): void {
  core.journal.persisted(seq);
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
    default:
      unreachable(event);
  }
}

/** Draws a leader's consequences from what a step has learned: handlers record facts, and only here they act. */
function settle(core: Core, now: Millis): void {
  const office = core.leadership;
  if (office === null) return;
  replication.advanceCommit(core, office, now);
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

  get role(): Role {
    return this.#core.role;
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
