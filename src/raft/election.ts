/**
 * Elections (thesis 3.4, 9.6) and their restraints: a pre-vote that touches no term, votes that stick to a living
 * leader, a leader that leaves when no quorum answers it, timers that forgive their own lateness.
 */
import { invariant } from "../assert.ts";
import type { Core } from "./core.ts";
import type { Leadership } from "./office.ts";
import { Lease, leaseDuration } from "./lease.ts";
import { isAsFar } from "./log.ts";
import { isSoleVoter, isVoter, membersOf, votersOf } from "./membership.ts";
import type { PreVote, PreVoteReply, TimeoutNow, Vote, VoteReply } from "./message.ts";
import { Progress } from "./progress.ts";
import { quorumValue, voteResult } from "./quorum.ts";
import type { Index, Millis, Term } from "./types.ts";

const NOTHING = new Uint8Array(0);

/** The node begins to live at `now`. A sole voter needs nobody's leave and campaigns at once. */
export function start(core: Core, now: Millis): void {
  core.startedAt = now;
  core.armElection(now);
  if (isSoleVoter(core.configuration, core.id)) core.electionDue = now;
}

/** When this node next wants to look for a leader's absence; Infinity where nothing would follow from it. */
export function electionDeadline(core: Core): Millis {
  return mayLead(core) || core.leader !== null ? core.electionDue : Infinity;
}

/** The election timer has come: asks whether an election could be won, if this node may; if not, it knows no leader. */
export function onElectionTimeout(core: Core, now: Millis): void {
  const late = isLate(core, core.electionDue, now);
  if (late || !mayCampaign(core, now)) {
    core.electionDue = now + core.options.heartbeatIntervalMs;
    if (!late) core.setLeader(null);
    return;
  }
  core.armElection(now);
  core.setLeader(null);
  core.role = "preCandidate";
  core.campaign = {
    firstRequest: core.nextRequest,
    votes: new Map([[core.id, true]]),
    ownVoteSeq: null,
  };
  const ask = { lastIndex: core.log.lastIndex, lastTerm: core.log.last.term };
  for (const peer of otherVoters(core)) {
    core.post({ type: "preVote", ...core.request(peer), ...ask, term: core.term + 1 });
  }
  count(core, now);
}

/**
 * Whether a timer of ours fired so late that the process, not the network, was silent: what the peers said
 * meanwhile waits to be read, so the verdict is put off by one heartbeat interval, once.
 */
function isLate(core: Core, due: Millis, now: Millis): boolean {
  const late = now - due > core.options.heartbeatIntervalMs && !core.graced;
  core.graced ||= late;
  return late;
}

/**
 * Not while a snapshot or a change of membership is half done, nor on a disk that couldn't keep the vote, nor on one that
 * lost what it had acknowledged.
 */
function mayCampaign(core: Core, now: Millis): boolean {
  if (core.owes !== null) return false;
  return mayLead(core) && !core.journal.resetting && !core.appliesMembership && !core.stalled(now);
}

/**
 * Whether this node votes, or may have to campaign although it is about to leave: as long as that isn't committed, those
 * who stay may need its vote, and its log may be ahead of theirs (thesis 4.2.2).
 */
function mayLead(core: Core): boolean {
  return core.isVoter || isVoter(core.configurationAt(core.commit), core.id);
}

function otherVoters(core: Core): readonly string[] {
  return votersOf(core.configuration).filter((id) => id !== core.id);
}

/** Campaigns in the next term. The requests for votes, and our own vote, wait for the disk. */
function becomeCandidate(core: Core, how: { readonly transfer: boolean }, now: Millis): void {
  core.armElection(now);
  core.setLeader(null);
  core.role = "candidate";
  core.term += 1;
  core.vote = core.id;
  core.journal.termOrVoteChanged();
  core.campaign = {
    firstRequest: core.nextRequest,
    votes: new Map(),
    ownVoteSeq: core.journal.nextSeq,
  };
  const ask = { lastIndex: core.log.lastIndex, lastTerm: core.log.last.term };
  for (const peer of otherVoters(core)) {
    core.promise({ type: "vote", ...core.request(peer), ...ask, transfer: how.transfer });
  }
}

/** The disk has write `seq`: our own vote counts from then on, if its election still runs. */
export function onVotePersisted(core: Core, seq: number, now: Millis): void {
  const campaign = core.campaign;
  if (campaign === null || campaign.ownVoteSeq === null || seq < campaign.ownVoteSeq) return;
  if (campaign.votes.has(core.id)) return;
  campaign.votes.set(core.id, true);
  count(core, now);
}

/** Draws the consequence of the votes so far. */
function count(core: Core, now: Millis): void {
  const campaign = core.campaign;
  invariant(campaign !== null, `votes counted as ${core.role}`);
  switch (voteResult(core.configuration, campaign.votes)) {
    case "pending":
      return;
    case "lost":
      return core.becomeFollower({ term: core.term, leader: null }, now);
    case "won":
      if (campaign.ownVoteSeq === null) becomeCandidate(core, { transfer: false }, now);
      else becomeLeader(core, now);
  }
}

/** Takes office, and opens the term by an empty entry: the first that may be committed by counting (thesis 6.4). */
function becomeLeader(core: Core, now: Millis): void {
  const { options, log, term } = core;
  const peers = membersOf(core.configuration).filter((id) => id !== core.id);
  const firstIndex = log.lastIndex + 1;
  core.role = "leader";
  core.campaign = null;
  core.graced = false;
  core.leaderContact = null;
  core.leadership = {
    firstRequest: core.nextRequest,
    since: now,
    firstIndex,
    progress: new Map(peers.map((id) => [id, new Progress(firstIndex)])),
    seated: core.configuration,
    leaving: new Map(),
    catchUps: new Map(),
    handovers: 0,
    lease: new Lease(leaseDuration(options)),
    uncommittedBytes: 0,
    heartbeatDue: peers.length === 0 ? Infinity : now + options.heartbeatIntervalMs,
    quorumCheckDue: now + options.electionTimeoutMs,
    noticeDue: -Infinity,
    round: 0,
    confirmedRound: 0,
    confirmedSentAt: -Infinity,
    untimedRound: 0,
    lastIntervalCommit: core.commit,
    rounds: [],
    heldReads: [],
    waitingReads: [],
    confirmingReads: [],
    transfer: null,
    shortPeers: new Map(),
    yieldsAgainAt: now,
  };
  core.setLeader(core.id);
  const draft = { index: firstIndex, term, kind: "empty", payload: NOTHING } as const;
  core.append([options.seal(draft, log.last.crc)]);
}

// Answers to candidates.

/** Answers without touching any term, also where the asked-for term is behind ours: the asker learns ours then. */
export function onPreVote(core: Core, message: PreVote, now: Millis): void {
  const granted = message.term > core.term && !keepsPromise(core, now) && isUpToDate(core, message);
  const term = granted ? message.term : core.term;
  core.post({ type: "preVoteReply", ...core.reply(message), term, granted });
  // Of two that ask at the same time one gives way, or they split the votes and a whole timeout is lost.
  if (granted && core.role === "preCandidate" && goesFirst(core, message)) {
    core.becomeFollower({ term: core.term, leader: null }, now);
  }
}

/** Whether the asker, whose log is no worse than ours, has a better one or the lower id. */
function goesFirst(core: Core, { lastIndex, lastTerm, from }: PreVote): boolean {
  const { index, term } = core.log.last;
  return lastIndex !== index || lastTerm !== term || from < core.id;
}

/** A request of our own term or a later one. While votes stick it changes nothing, not even the term. */
export function onVote(core: Core, message: Vote, now: Millis): void {
  if (!message.transfer && keepsPromise(core, now)) {
    core.post({ type: "voteReply", ...core.reply(message), granted: false });
    return;
  }
  if (message.term > core.term) core.becomeFollower({ term: message.term, leader: null }, now);
  const free = core.vote === message.from || (core.vote === null && core.leader === null);
  const granted = free && isUpToDate(core, message);
  if (!granted) {
    core.post({ type: "voteReply", ...core.reply(message), granted });
    return;
  }
  if (core.vote !== message.from) {
    core.vote = message.from;
    core.journal.termOrVoteChanged();
  }
  core.armElection(now);
  core.promise({ type: "voteReply", ...core.reply(message), granted });
}

/** Whether a leader may still count on us: we heard from it, or from a quorum as leader, or may have before we died. */
function keepsPromise(core: Core, now: Millis): boolean {
  const timeout = core.options.electionTimeoutMs;
  const office = core.leadership;
  if (office !== null) return now < lastQuorum(core, office) + timeout;
  if (core.leaderContact !== null && now < core.leaderContact + timeout) return true;
  if (!core.mayHavePromised || isSoleVoter(core.configuration, core.id)) return false;
  return now < core.startedAt + timeout;
}

/** As up to date as our log, and as what that was before a part of it was lost (see `Core.owes`). */
function isUpToDate(
  core: Core,
  { lastIndex, lastTerm }: { readonly lastIndex: Index; readonly lastTerm: Term },
): boolean {
  const theirs = { index: lastIndex, term: lastTerm };
  const { log, owes } = core;
  return isAsFar(theirs, log.last) && (owes === null || isAsFar(theirs, owes));
}

// Candidates' replies. Those of an earlier attempt don't count.

export function onPreVoteReply(core: Core, message: PreVoteReply, now: Millis): void {
  if (message.granted && message.term !== core.term + 1) return;
  onAnyVoteReply(core, message, now);
}

export function onVoteReply(core: Core, message: VoteReply, now: Millis): void {
  if (message.granted && message.term !== core.term) return;
  onAnyVoteReply(core, message, now);
}

function onAnyVoteReply(core: Core, message: PreVoteReply | VoteReply, now: Millis): void {
  const campaign = core.campaign;
  if (campaign === null || message.id < campaign.firstRequest) return;
  if (campaign.votes.has(message.from)) return;
  campaign.votes.set(message.from, message.granted);
  count(core, now);
}

/** The leader wants us in its place: no pre-vote, and the voters needn't stick to it. */
export function onTimeoutNow(core: Core, message: TimeoutNow, now: Millis): void {
  core.post({ type: "timeoutNowReply", ...core.reply(message) });
  if (mayCampaign(core, now)) becomeCandidate(core, { transfer: true }, now);
}

// The leader's own doubt.

/** Since when a quorum has been answering; Infinity where we are one. A new leader is given a timeout's time. */
function lastQuorum(core: Core, office: Leadership): Millis {
  return quorumValue(core.configuration, (id) => {
    if (id === core.id) return Infinity;
    return Math.max(office.progress.get(id)?.lastReply ?? office.since, office.since);
  });
}

/** CheckQuorum (thesis 6.2): leaves office when no quorum answered within an election timeout. */
export function onQuorumCheck(core: Core, office: Leadership, now: Millis): void {
  const due = lastQuorum(core, office) + core.options.electionTimeoutMs;
  if (now < due) {
    office.quorumCheckDue = due;
    core.graced = false;
    return;
  }
  if (isLate(core, office.quorumCheckDue, now)) {
    office.quorumCheckDue = now + core.options.heartbeatIntervalMs;
    return;
  }
  core.becomeFollower({ term: core.term, leader: null }, now);
}
