/**
 * Changing who takes part (thesis 4). A change is what the configuration says of itself, so any leader carries it on:
 *
 * 1. `next` says whom it ends in. Those who are to vote and don't yet are learners, and catch up (4.2.1).
 * 2. Once they have, `voters` are the new ones and `outgoing` the old: a quorum is a majority of both (4.3).
 * 3. Once that is committed, `outgoing` and `next` are gone, and whoever is no member any more is in `removed`.
 *
 * A change without newcomers begins at 2, one that leaves the voters as they are at 3. Each step is an entry, takes
 * effect when it is appended, and waits until the one before is committed; none is taken before the leader has
 * committed in its term. A newcomer that doesn't catch up stays a learner, and `next` is given up.
 */
import type { Core } from "./core.ts";
import { encodeConfiguration, isVoter, membersOf } from "./membership.ts";
import type { CatchUp, Leadership } from "./office.ts";
import { Progress } from "./progress.ts";
import type { ChangeTarget, RaftEvent } from "./step.ts";
import { giveWay } from "./transfer.ts";
import type { Configuration, Membership, Millis, NodeId } from "./types.ts";

/** Rounds that a newcomer has to come within an election timeout of the log's end. */
const ROUNDS_MAX = 10;
/** A newcomer whose log doesn't move for so many election timeouts is waited for no longer. */
const SILENCE_FACTOR = 60;
/** A leader that is to leave tries so often to hand over before it steps down unsucceeded. */
const HANDOVERS_MAX = 5;
/** Those who left are told of it for so many election timeouts. */
const FAREWELL_FACTOR = 2;

/** Whether a change has begun and is not over. */
export function isChanging({ next, outgoing }: Configuration): boolean {
  return next !== undefined || outgoing.length > 0;
}

export function onChange(core: Core, event: RaftEvent & { readonly type: "change" }): void {
  const { id, target, cancels } = event;
  const office = core.leadership;
  if (office === null) return core.answer({ type: "changeRejected", id, reason: "notLeader" });
  if (office.transfer !== null) {
    return core.answer({ type: "changeRejected", id, reason: "transferring" });
  }
  const waits = cancels && core.configuration.outgoing.length === 0;
  if (!maySettle(core, office) || (isChanging(core.configuration) && !waits)) {
    return core.answer({ type: "changeRejected", id, reason: "changing" });
  }
  appendConfiguration(core, office, firstStep(core.configuration, target));
  core.answer({ type: "changed", id, index: core.log.lastIndex, term: core.term });
}

/** The member's first life is the one that counts: a later one has forgotten what this one promises. */
export function onBind(core: Core, event: RaftEvent & { readonly type: "bind" }): void {
  const { member, incarnation } = event;
  const office = core.leadership;
  const { configuration } = core;
  const known = configuration.incarnations ?? {};
  if (office === null || !maySettle(core, office) || Object.hasOwn(known, member)) return;
  if (!membersOf(configuration).includes(member)) return;
  const incarnations = { ...known, [member]: incarnation };
  appendConfiguration(core, office, { ...configuration, incarnations });
}

/** One at a time, and none before this term's first commit (thesis 4.1 and its erratum). */
function maySettle(core: Core, office: Leadership): boolean {
  return core.commit >= office.firstIndex && core.configurationIndex <= core.commit;
}

function appendConfiguration(core: Core, office: Leadership, configuration: Configuration): void {
  const { log, term, options } = core;
  const payload = encodeConfiguration(configuration);
  const draft = { index: log.lastIndex + 1, term, kind: "configuration", payload } as const;
  office.uncommittedBytes += payload.byteLength;
  core.append([options.seal(draft, log.last.crc)]);
}

function firstStep(current: Configuration, target: ChangeTarget): Configuration {
  const urls = { ...current.urls, ...target.urls };
  const next = { voters: target.voters, learners: target.learners };
  if (newcomers(current.voters, next).length === 0) return towards({ ...current, urls }, next);
  const known = new Set(membersOf(current));
  const entering = [...next.voters, ...next.learners].filter((id) => !known.has(id));
  return { ...current, learners: [...current.learners, ...entering], urls, next };
}

/** The joint phase, or the end at once where the voters stay. */
function towards(current: Configuration, next: Membership): Configuration {
  const { voters, learners } = current;
  const stays = voters.length === next.voters.length && newcomers(voters, next).length === 0;
  if (stays) return settled(current, next);
  const entering = [...learners, ...next.learners];
  const voting = new Set([...voters, ...next.voters]);
  return {
    ...current,
    voters: next.voters,
    outgoing: voters,
    learners: [...new Set(entering)].filter((id) => !voting.has(id)),
    next,
  };
}

/** The end of a change: who is no member any more never will be again. */
function settled(current: Configuration, next: Membership): Configuration {
  const { urls, incarnations = {}, removed = [] } = current;
  const stay = new Set([...next.voters, ...next.learners]);
  const gone = membersOf(current).filter((id) => !stay.has(id));
  const ofMembers = (texts: Readonly<Record<NodeId, string>>): Record<NodeId, string> =>
    Object.fromEntries(Object.entries(texts).filter(([id]) => stay.has(id)));
  return {
    voters: next.voters,
    outgoing: [],
    learners: next.learners,
    urls: ofMembers(urls),
    incarnations: ofMembers(incarnations),
    removed: [...removed, ...gone],
  };
}

function newcomers(voters: readonly NodeId[], next: Membership): readonly NodeId[] {
  return next.voters.filter((id) => !voters.includes(id));
}

/** The leader carries a change on as far as it can be now. */
export function settleChange(core: Core, office: Leadership, now: Millis): void {
  seat(core, office, now);
  const { configuration } = core;
  const { next, outgoing, voters, learners } = configuration;
  if (next === undefined && outgoing.length === 0 && isVoter(configuration, core.id)) return;
  if (!maySettle(core, office)) return;
  if (outgoing.length > 0) leaveJoint(core, office, next ?? { voters, learners }, now);
  else if (next !== undefined) catchUp(core, office, next, now);
  else core.becomeFollower({ term: core.term, leader: null }, now);
}

/** Replicates to whom the configuration names, and for a while to whom it no longer does: they are to hear of that. */
function seat(core: Core, office: Leadership, now: Millis): void {
  const { configuration } = core;
  const { progress, leaving } = office;
  if (office.seated !== configuration) {
    office.seated = configuration;
    const members = membersOf(configuration).filter((id) => id !== core.id);
    for (const id of members) {
      leaving.delete(id);
      if (progress.has(id)) continue;
      progress.set(id, new Progress(core.log.lastIndex + 1));
      // A leader that was alone waited for no time.
      office.heartbeatDue = Math.min(office.heartbeatDue, now);
    }
    // Nor did a sole voter, with however many learners, doubt its office: one of these may vote now.
    const due = now + core.options.electionTimeoutMs;
    office.quorumCheckDue = Math.min(office.quorumCheckDue, due);
    for (const id of progress.keys()) {
      if (!members.includes(id) && !leaving.has(id)) leaving.set(id, Infinity);
    }
  }
  for (const [id, until] of leaving) {
    if (until === Infinity && core.configurationIndex <= core.commit) {
      leaving.set(id, now + FAREWELL_FACTOR * core.options.electionTimeoutMs);
    } else if (now >= until) {
      leaving.delete(id);
      progress.delete(id);
    }
  }
}

/** A leader that doesn't stay hands over first, so that nobody who has written through it is left without an answer. */
function leaveJoint(core: Core, office: Leadership, next: Membership, now: Millis): void {
  if (!next.voters.includes(core.id) && office.handovers < HANDOVERS_MAX) {
    if (office.transfer !== null) return;
    office.handovers += 1;
    return giveWay(core, office, null, now);
  }
  appendConfiguration(core, office, settled(core.configuration, next));
}

function catchUp(core: Core, office: Leadership, next: Membership, now: Millis): void {
  const { configuration } = core;
  let isWaiting = false;
  for (const id of newcomers(configuration.voters, next)) {
    const state = roundOf(core, office, id, now);
    if (state === null) {
      const { next: _given, ...without } = configuration;
      office.catchUps.clear();
      return appendConfiguration(core, office, without);
    }
    office.catchUps.set(id, state);
    isWaiting ||= !state.done;
  }
  if (isWaiting) return;
  office.catchUps.clear();
  appendConfiguration(core, office, towards(configuration, next));
}

/** How far a newcomer is; null where it is waited for no longer. */
function roundOf(core: Core, office: Leadership, id: NodeId, now: Millis): CatchUp | null {
  const { electionTimeoutMs } = core.options;
  const end = core.log.lastIndex;
  const progress = office.progress.get(id);
  const match = progress?.match ?? 0;
  const heard = progress?.answering === true && progress.lastReply !== null;
  const first = { round: 1, end, since: now, done: false, match, movedAt: now };
  const known = office.catchUps.get(id) ?? first;
  const isThere = heard && match >= known.end;
  const moves = match > known.match || isThere || (heard && progress.state === "snapshot");
  const state = { ...known, match, movedAt: moves ? now : known.movedAt };
  if (now - state.movedAt > SILENCE_FACTOR * electionTimeoutMs) return null;
  if (!heard) return { ...state, done: false };
  const inTime = now - state.since <= electionTimeoutMs;
  if (!isThere) return { ...state, done: state.done && inTime };
  // While others are waited for, it has to keep up.
  if (inTime) return { ...state, end, since: now, done: true };
  if (state.round >= ROUNDS_MAX) return null;
  return { ...state, round: state.round + 1, end, since: now, done: false };
}
