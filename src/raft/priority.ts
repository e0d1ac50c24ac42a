/**
 * Who is to lead rather: a leader gives way to a voter of a higher priority that has kept up with it for a while, say
 * one that is nearer to the data or to the users. Whoever is elected leads until then, so availability costs nothing.
 */
import { isChanging } from "./change.ts";
import type { Core } from "./core.ts";
import type { Leadership } from "./office.ts";
import { giveWay } from "./transfer.ts";
import type { Millis, NodeId } from "./types.ts";

/** The highest priority. */
export const PRIORITY_MAX = 100;
/** For so many election timeouts it has to have kept up, and a leader to have been in office. */
const PATIENCE_FACTOR = 20;

/** Looks who has kept up since the last interval, and whether somebody better has for long enough. */
export function onHeartbeatInterval(core: Core, office: Leadership, now: Millis): void {
  const since = now - PATIENCE_FACTOR * core.options.electionTimeoutMs;
  let best: NodeId | null = null;
  let highest = core.options.priority ?? 0;
  for (const [id, progress] of office.progress) {
    const keepsUp = progress.answering && progress.match >= office.lastIntervalCommit;
    progress.keptUpSince = keepsUp ? progress.keptUpSince ?? now : null;
    const isReady = progress.keptUpSince !== null && progress.keptUpSince <= since;
    if (!isReady || office.shortPeers.has(id) || progress.priority <= highest) continue;
    if (!core.configuration.voters.includes(id)) continue;
    best = id;
    highest = progress.priority;
  }
  office.lastIntervalCommit = core.commit;
  if (best === null || office.transfer !== null || isChanging(core.configuration)) return;
  // One that doesn't take over has to keep up as long again.
  for (const progress of office.progress.values()) progress.keptUpSince = null;
  giveWay(core, office, best, now);
}
