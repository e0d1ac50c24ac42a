/**
 * The log's way from the leader to everybody (thesis 3.5, 3.6, 10.2.1): pipelined appends in a bounded window, one
 * per batch and peer, whose answers clock the next; rejections that skip a term at a time; commit by counting.
 */
import { invariant } from "../assert.ts";
import type { Core } from "./core.ts";
import type { Leadership } from "./office.ts";
import type { Append, AppendReply } from "./message.ts";
import type { Progress } from "./progress.ts";
import { quorumValue } from "./quorum.ts";
import { sendSnapshot } from "./snapshot.ts";
import type { RaftEvent, RejectReason } from "./step.ts";
import type { Entry, Index, Millis, NodeId } from "./types.ts";

// The leader.

/** Appends what the bounds admit of a batch, in order, and says where it stands. */
export function onPropose(core: Core, event: RaftEvent & { readonly type: "propose" }): void {
  const { id, commands, own = false } = event;
  const { term, log, limits, leadership: office } = core;
  const firstIndex = log.lastIndex + 1;
  const refusal = refusalOf(office) ?? (own ? null : overload(core));
  if (office === null || refusal !== null) {
    core.answer({ type: "proposed", id, firstIndex, term, accepted: 0, reason: refusal });
    return;
  }
  const entries: Entry[] = [];
  let crc = log.last.crc;
  for (const payload of commands) {
    const uncommitted = office.uncommittedBytes;
    const exceeds = uncommitted + payload.byteLength > limits.uncommittedBytesMax;
    if (exceeds && uncommitted > 0 && !own) break;
    const index = firstIndex + entries.length;
    const entry = core.options.seal({ index, term, kind: "command", payload }, crc);
    office.uncommittedBytes += payload.byteLength;
    crc = entry.crc;
    entries.push(entry);
  }
  core.append(entries);
  const accepted = entries.length;
  const reason = accepted < commands.length ? "overloaded" : null;
  core.answer({ type: "proposed", id, firstIndex, term, accepted, reason });
}

function refusalOf(office: Leadership | null): RejectReason | null {
  if (office === null) return "notLeader";
  return office.transfer === null ? null : "transferring";
}

function overload(core: Core): RejectReason | null {
  return core.commit - core.applied > core.limits.applyLagMax ? "overloaded" : null;
}

/** Sends each peer what it may have now. A leader whose disk stalls says nothing, so that another is elected. */
export function feed(core: Core, office: Leadership, now: Millis): void {
  if (core.stalled(now)) return;
  const tellsCommit = now >= office.noticeDue;
  for (const [peer, progress] of office.progress) {
    feedPeer(core, peer, progress);
    // Nothing on its way that would tell of the commit: one empty append does, and its answer clocks the next.
    if (tellsCommit && progress.wantsNotice(core.commit)) sendAppend(core, peer, progress);
  }
}

function feedPeer(core: Core, peer: NodeId, progress: Progress): void {
  while (progress.ready(core.limits)) {
    if (progress.next < core.log.firstIndex) {
      if (progress.answering) sendSnapshot(core, peer, progress);
      return;
    }
    if (progress.state === "replicate" && progress.next > core.log.lastIndex) break;
    sendAppend(core, peer, progress);
  }
}

function sendAppend(core: Core, peer: NodeId, progress: Progress): void {
  const { log, commit, limits } = core;
  const previous = log.position(progress.next - 1);
  invariant(previous !== undefined, `no entry before ${progress.next} for ${peer}`);
  const { entries, bytes } = progress.answering
    ? log.batch(progress.next, progress.room(limits))
    : { entries: [], bytes: 0 };
  const request = core.request(peer);
  progress.appendSent(request.id, { last: previous.index + entries.length, bytes, commit });
  core.post({
    type: "append",
    ...request,
    previousIndex: previous.index,
    previousTerm: previous.term,
    previousCrc: previous.crc,
    commit,
    entries,
  });
}

export function onAppendReply(core: Core, message: AppendReply, now: Millis): void {
  const progress = core.leadership?.progress.get(message.from);
  if (progress === undefined) return;
  progress.answered(message.id, now);
  if (!message.success) {
    const { rejectedIndex } = message;
    return progress.rejected(message.id, rejectedIndex, nextAfterRejection(core, message));
  }
  invariant(
    message.match <= core.log.lastIndex,
    `${message.from} matches ${message.match}, our log ends at ${core.log.lastIndex}`,
  );
  progress.accepted(message.id, message.match, core.log.firstIndex);
}

/**
 * Where to try next. If we hold entries of the peer's conflicting term, its log agrees with ours up to the last of
 * them, as far as its own reaches; else nothing that it holds of that term can agree.
 */
function nextAfterRejection(core: Core, message: AppendReply): Index {
  const { rejectedIndex, conflictTerm, conflictIndex } = message;
  if (conflictTerm === 0) return conflictIndex;
  const last = core.log.lastIndexOfTermsUpTo(conflictTerm, rejectedIndex - 1);
  return core.log.termAt(last) === conflictTerm ? last + 1 : conflictIndex;
}

/** Commits what a quorum holds durably, once it includes an entry of this term (thesis 3.6.2). */
export function advanceCommit(core: Core, office: Leadership, now: Millis): void {
  const { log, term, configuration } = core;
  const index = quorumValue(
    configuration,
    (id) => id === core.id ? core.journal.durable : office.progress.get(id)?.match ?? 0,
  );
  if (index <= core.commit || log.termAt(index) !== term) return;
  for (let own = Math.max(core.commit, office.firstIndex) + 1; own <= index; own += 1) {
    office.uncommittedBytes -= log.entry(own)?.payload.byteLength ?? 0;
  }
  core.commitTo(index);
  // Where writes go on, the next append tells of this commit as well, and a message for each of them is saved.
  if (office.noticeDue <= now) office.noticeDue = now + core.options.noticeDelayMs;
}

// Everybody else.

/** Checks that the logs agree where the message begins, takes what is new, cuts only at a real conflict. */
export function onAppend(core: Core, message: Append, now: Millis): void {
  core.hearLeader(message.from, now);
  const { previousIndex, entries } = message;
  const rejection = checkPrevious(core, message);
  if (rejection !== null) {
    const failed = { success: false, match: 0, rejectedIndex: previousIndex, ...rejection };
    core.post({ type: "appendReply", ...core.reply(message), ...failed });
    return;
  }
  invariant(
    (entries.at(-1)?.term ?? 0) <= message.term,
    `an entry of term ${entries.at(-1)?.term} in an append of term ${message.term}`,
  );
  takeEntries(core, previousIndex, entries);
  // Only what this very message vouches for: what stands behind it may be another leader's.
  const vouched = previousIndex + entries.length;
  core.commitTo(Math.max(core.commit, Math.min(message.commit, vouched)));
  commitVouched(core);
  const match = Math.max(vouched, core.commit);
  const agreed = { success: true, match, rejectedIndex: 0, conflictTerm: 0, conflictIndex: 0 };
  core.promise({ type: "appendReply", ...core.reply(message), ...agreed });
}

/** What is committed agrees by the protocol's own promise: finding otherwise there means that a history was lost. */
function checkPrevious(
  core: Core,
  message: Append,
): Pick<AppendReply, "conflictTerm" | "conflictIndex"> | null {
  const { log } = core;
  const { previousIndex, previousTerm, previousCrc } = message;
  if (previousIndex > log.lastIndex) {
    return { conflictTerm: 0, conflictIndex: log.lastIndex + 1 };
  }
  const here = log.position(previousIndex);
  if (here === undefined) return null;
  if (here.term === previousTerm) {
    invariant(
      here.crc === previousCrc,
      `other histories at ${previousIndex} of term ${previousTerm}, on ${message.from} and here`,
    );
    return null;
  }
  invariant(previousIndex > core.commit, `${message.from} contradicts committed ${previousIndex}`);
  return { conflictTerm: here.term, conflictIndex: log.firstIndexOfTermAt(previousIndex) };
}

function takeEntries(core: Core, previousIndex: Index, entries: readonly Entry[]): void {
  const { log } = core;
  let known = 0;
  for (const entry of entries) {
    invariant(entry.index === previousIndex + 1 + known, `a gap before entry ${entry.index}`);
    if (entry.index > log.lastIndex) break;
    const here = log.position(entry.index);
    if (here !== undefined && here.term !== entry.term) {
      core.truncateFrom(entry.index);
      break;
    }
    invariant(
      here === undefined || here.crc === entry.crc,
      `other histories at ${entry.index} of term ${entry.term}`,
    );
    known += 1;
  }
  core.append(known === 0 ? entries : entries.slice(known));
}

/** The leader once said that an entry is committed: known here as soon as the log holds that very entry. */
export function commitVouched(core: Core): void {
  const { vouched, log } = core;
  if (vouched === null) return;
  if (vouched.index > core.commit) {
    if (log.termAt(vouched.index) !== vouched.term) return;
    core.commitTo(vouched.index);
  }
  core.vouched = null;
}
