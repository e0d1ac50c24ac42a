/**
 * Linearizable reads without the log (thesis 6.4). A read takes the commit index when it arrives and is confirmed by
 * a round of heartbeats that started after; whoever answered such a round had, then, heard of no later leader. Rounds
 * clock themselves: one is on its way, all reads that come meanwhile share the next. Each heartbeat is a round, so an
 * idle leader renews its lease too.
 */
import type { Core } from "./core.ts";
import type { Leadership, PendingRead } from "./office.ts";
import type { Heartbeat, HeartbeatReply, ReadIndex, ReadIndexReply } from "./message.ts";
import { quorumValue } from "./quorum.ts";
import { commitVouched } from "./replication.ts";
import type { RaftEvent } from "./step.ts";
import type { Millis, ReadLevel } from "./types.ts";

/** A read on this node: confirmed here by the leader, asked of the leader by anybody else. */
export function onRead(
  core: Core,
  event: RaftEvent & { readonly type: "read" },
  now: Millis,
): void {
  const { id, level } = event;
  const office = core.leadership;
  if (office !== null) return admit(core, office, { from: core.id, id, level }, now);
  if (core.leader === null) return core.rejectRead(id, "notLeader");
  if (core.remoteReads.size >= core.limits.pendingReadsMax) {
    return core.rejectRead(id, "overloaded");
  }
  const request = core.request(core.leader);
  core.remoteReads.set(request.id, id);
  core.post({ type: "readIndex", ...request, level });
}

/** A follower's read. The reply waits for the confirmation. */
export function onReadIndex(core: Core, message: ReadIndex, now: Millis): void {
  const office = core.leadership;
  if (office !== null) admit(core, office, message, now);
}

interface Asked {
  readonly from: string;
  readonly id: number;
  readonly level: ReadLevel;
}

function admit(core: Core, office: Leadership, { from, id, level }: Asked, now: Millis): void {
  const index = core.commit;
  const read = { from, id, index, indexTerm: core.log.termAt(index) ?? 0 };
  const { heldReads, waitingReads, confirmingReads } = office;
  const pending = heldReads.length + waitingReads.length + confirmingReads.length;
  if (pending >= core.limits.pendingReadsMax) return refuse(core, read);
  // Before this term's first commit, the commit index may lag behind what an earlier leader acknowledged.
  if (index < office.firstIndex) heldReads.push(read);
  else if (level === "lease" && office.lease.holds(now)) confirm(core, read);
  else waitingReads.push(read);
}

function refuse(core: Core, { from, id }: PendingRead): void {
  if (from === core.id) return core.rejectRead(id, "overloaded");
  const header = { from: core.id, to: from, term: core.term, id };
  core.post({ type: "readIndexReply", ...header, index: null, indexTerm: 0 });
}

function confirm(core: Core, { from, id, index, indexTerm }: PendingRead): void {
  if (from === core.id) return core.answer({ type: "readable", id, index });
  const header = { from: core.id, to: from, term: core.term, id };
  core.post({ type: "readIndexReply", ...header, index, indexTerm });
}

/** What follows for the pending reads from all that this step has learned. */
export function settleReads(core: Core, office: Leadership, now: Millis): void {
  if (office.heldReads.length > 0 && core.commit >= office.firstIndex) {
    const index = core.commit;
    const indexTerm = core.term;
    office.waitingReads.push(...office.heldReads.map((read) => ({ ...read, index, indexTerm })));
    office.heldReads = [];
  }
  confirmRounds(core, office);
  if (office.waitingReads.length === 0 || office.confirmedRound < office.round) return;
  sendRound(core, office, now);
  // Alone, the leader is the quorum that confirms.
  confirmRounds(core, office);
}

/** The heartbeat interval is over: a round, for the office and for whatever reads wait. */
export function onHeartbeatInterval(core: Core, office: Leadership, now: Millis): void {
  office.heartbeatDue = now + core.options.heartbeatIntervalMs;
  for (const progress of office.progress.values()) progress.interval();
  sendRound(core, office, now);
}

/** Starts a round, whose number is new, for all reads that wait. */
function sendRound(core: Core, office: Leadership, now: Millis): void {
  if (core.stalled(now)) return;
  office.round += 1;
  const { round } = office;
  office.rounds.push({ round, sentAt: now, commit: core.commit });
  for (const read of office.waitingReads) office.confirmingReads.push({ round, read });
  office.waitingReads = [];
  const leaderCommit = core.commit;
  const certain = leaderCommit >= office.firstIndex && office.confirmedSentAt > -Infinity;
  const ageMs = certain ? now - office.confirmedSentAt + core.options.maxClockJumpMs : 0;
  for (const [peer, progress] of office.progress) {
    const commit = Math.min(progress.match, core.commit);
    const acknowledged = certain ? progress.round : 0;
    core.post({
      type: "heartbeat",
      ...core.request(peer),
      commit,
      round,
      acknowledged,
      leaderCommit,
      ageMs,
    });
  }
}

/** An answer to a round also speaks for the rounds before it. */
function confirmRounds(core: Core, office: Leadership): void {
  if (office.confirmedRound === office.round) return;
  const confirmed = quorumValue(
    core.configuration,
    (id) => id === core.id ? office.round : office.progress.get(id)?.round ?? 0,
  );
  if (confirmed <= office.confirmedRound) return;
  office.confirmedRound = confirmed;
  while (office.rounds[0] !== undefined && office.rounds[0].round <= confirmed) {
    const { round, sentAt, commit } = office.rounds[0];
    office.rounds.shift();
    if (round <= office.untimedRound) continue;
    office.confirmedSentAt = sentAt;
    office.lease.confirmed(sentAt);
    if (commit >= office.firstIndex) core.freshness.learn(commit, sentAt);
  }
  const ready = office.confirmingReads.findIndex(({ round }) => round > confirmed);
  const count = ready === -1 ? office.confirmingReads.length : ready;
  for (const { read } of office.confirmingReads.splice(0, count)) confirm(core, read);
}

/** All that the clock has timed so far is void: the lease, and how fresh anybody's state is. */
export function onClockJumped(core: Core): void {
  core.freshness.clockJumped();
  const office = core.leadership;
  if (office === null) return;
  office.lease.clockJumped();
  office.untimedRound = office.round;
  office.confirmedSentAt = -Infinity;
}

/** The leader lives. `commit` is within what it knows to match our log. */
export function onHeartbeat(core: Core, message: Heartbeat, now: Millis): void {
  core.hearLeader(message.from, now);
  // What the leader knows to match may be what was lost since.
  if (core.owes === null) core.commitTo(Math.max(core.commit, message.commit));
  const at = core.freshness.answeredAt(message.term, message.acknowledged);
  if (at !== null) core.freshness.learn(message.leaderCommit, at - message.ageMs);
  core.freshness.answers(message.term, message.round, now);
  const { priority = 0 } = core.options;
  const preference = priority > 0 ? { priority } : {};
  const room = core.toldRoom === "enough" ? {} : { room: core.toldRoom };
  const { round } = message;
  core.post({ type: "heartbeatReply", ...core.reply(message), round, ...preference, ...room });
}

export function onHeartbeatReply(core: Core, message: HeartbeatReply, now: Millis): void {
  const office = core.leadership;
  const progress = office?.progress.get(message.from);
  if (office === null || progress === undefined) return;
  progress.answered(message.id, now);
  progress.round = Math.max(progress.round, message.round);
  progress.priority = message.priority ?? 0;
  if (message.room === undefined) office.shortPeers.delete(message.from);
  else office.shortPeers.set(message.from, message.room);
}

/** The leader's answer to a read of ours. What it knows to be committed is so here, once our log holds it. */
export function onReadIndexReply(core: Core, message: ReadIndexReply): void {
  const id = core.remoteReads.get(message.id);
  if (id === undefined) return;
  core.remoteReads.delete(message.id);
  const { index, indexTerm } = message;
  if (index === null) return core.rejectRead(id, "notLeader");
  if (index > Math.max(core.commit, core.vouched?.index ?? 0)) {
    core.vouched = { index, term: indexTerm };
    commitVouched(core);
  }
  core.answer({ type: "readable", id, index });
}
