/**
 * Snapshots (thesis 5): compacting the log behind our own, offering it to a peer whose next entry is gone, and
 * installing a leader's. The bytes travel beside; the core sees only what a snapshot stands for.
 */
import { invariant } from "../assert.ts";
import type { Core } from "./core.ts";
import type { InstallSnapshot, InstallSnapshotReply } from "./message.ts";
import type { Progress } from "./progress.ts";
import type { Index, Millis, NodeId, SnapshotMeta } from "./types.ts";

/** Offers the latest snapshot. The peer gets no appends until it answers. */
export function sendSnapshot(core: Core, peer: NodeId, progress: Progress): void {
  const request = core.request(peer);
  progress.snapshotSent(request.id, core.snapshot.index);
  core.post({ type: "installSnapshot", ...request, meta: core.snapshot });
}

export function onInstallSnapshot(core: Core, message: InstallSnapshot, now: Millis): void {
  core.hearLeader(message.from, now);
  const { meta } = message;
  if (meta.index > core.commit) install(core, meta);
  const reply = { success: true, match: Math.max(meta.index, core.commit) };
  core.promise({ type: "installSnapshotReply", ...core.reply(message), ...reply });
}

/** What the log already holds needs no snapshot, and keeps its tail; the snapshot proves that it is committed. */
function install(core: Core, meta: SnapshotMeta): void {
  const here = core.log.position(meta.index);
  if (here?.term !== meta.term) return core.restore(meta);
  invariant(here.crc === meta.crc, `other histories at ${meta.index} of term ${meta.term}`);
  core.commitTo(meta.index);
}

export function onInstallSnapshotReply(
  core: Core,
  message: InstallSnapshotReply,
  now: Millis,
): void {
  const progress = core.leadership?.progress.get(message.from);
  if (progress === undefined) return;
  progress.answered(message.id, now);
  if (!message.success) return progress.snapshotRefused(message.id);
  invariant(
    message.match <= core.log.lastIndex,
    `${message.from} matches ${message.match}, our log ends at ${core.log.lastIndex}`,
  );
  progress.accepted(message.id, message.match, core.log.firstIndex);
}

/** Our own snapshot is durable: it stands for the log up to its index, of which some entries stay for slow peers. */
export function onSnapshotted(core: Core, meta: SnapshotMeta, now: Millis): void {
  if (meta.index <= core.snapshot.index) return;
  invariant(meta.index <= core.applied, `snapshot of ${meta.index}, applied is ${core.applied}`);
  const here = core.log.position(meta.index);
  invariant(
    here?.term === meta.term && here.crc === meta.crc,
    `snapshot ${meta.index} of term ${meta.term} is not of our log`,
  );
  const needed = firstNeeded(core, meta, now);
  core.compact(meta, core.log.firstWithin(needed, meta.index, core.limits.trailingBytesMax));
}

/**
 * The first entry to keep: what a snapshot is to be spared for by count, and on a leader also what a peer that answers
 * takes next, be it behind a snapshot on its way. Under load the count is a moment's worth, and a snapshot sent for it
 * would never be the last.
 */
function firstNeeded(core: Core, meta: SnapshotMeta, now: Millis): Index {
  let first = meta.index - core.limits.trailingEntries + 1;
  for (const progress of core.leadership?.progress.values() ?? []) {
    const { needs, lastReply } = progress;
    const isHeard = lastReply !== null && now - lastReply < core.options.electionTimeoutMs;
    if (isHeard) first = Math.min(first, needs);
  }
  return first;
}
