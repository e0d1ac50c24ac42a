/**
 * Room on the members' disks. A node whose disk is almost full says so with its answers to heartbeats. A leader that is
 * such a node gives way to a voter that has room and has kept up; and whoever leads knows whether a quorum still has
 * room for what it is asked to write.
 */
import { isChanging } from "./change.ts";
import type { Core } from "./core.ts";
import { votersOf } from "./membership.ts";
import type { Leadership } from "./office.ts";
import { quorumValue } from "./quorum.ts";
import { giveWay } from "./transfer.ts";
import type { Millis, NodeId, RoomLevel } from "./types.ts";

/** For so many election timeouts an attempt to give way that came to nothing is not repeated. */
const PATIENCE_FACTOR = 8;

/** Why a leader takes no commands, or few. */
export interface Shortage {
  /** Nothing that makes the state larger; or nothing at all, for it could not be kept. */
  readonly level: "short" | "full";
  /** Whose disks have no room. */
  readonly voters: readonly NodeId[];
}

/** Gives way where this leader's disk is almost full, to whoever has room and the most of the log. */
export function onHeartbeatInterval(core: Core, office: Leadership, now: Millis): void {
  if (core.room === "enough" || office.transfer !== null || now < office.yieldsAgainAt) return;
  if (core.commit < office.firstIndex || isChanging(core.configuration)) return;
  let best: NodeId | null = null;
  let bestMatch = core.commit - 1;
  for (const id of core.configuration.voters) {
    const progress = office.progress.get(id);
    // Not before it has answered a heartbeat: until then nobody knows whether it has room.
    if (progress === undefined || !progress.answering || office.shortPeers.has(id)) continue;
    if (progress.round === 0 || progress.match <= bestMatch) continue;
    best = id;
    bestMatch = progress.match;
  }
  if (best === null) return;
  office.yieldsAgainAt = now + PATIENCE_FACTOR * core.options.electionTimeoutMs;
  giveWay(core, office, best, now);
}

/** A leader is short where it has no room itself, or no quorum has. */
export function shortage(core: Core): Shortage | null {
  const office = core.leadership;
  if (office === null || (core.room === "enough" && office.shortPeers.size === 0)) return null;
  const level = Math.min(
    rank[core.room],
    quorumValue(core.configuration, (id) => rank[roomOf(core, office, id)]),
  );
  if (level === rank.enough) return null;
  const voters = votersOf(core.configuration)
    .filter((id) => roomOf(core, office, id) !== "enough");
  return { level: level === rank.full ? "full" : "short", voters };
}

const rank: Readonly<Record<RoomLevel, number>> = { full: 0, short: 1, enough: 2 };

function roomOf(core: Core, office: Leadership, id: NodeId): RoomLevel {
  return id === core.id ? core.room : office.shortPeers.get(id) ?? "enough";
}
