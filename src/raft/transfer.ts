/**
 * Handing leadership over (thesis 3.10). Proposals are refused meanwhile, so that the target can catch up; once it has,
 * it is told to campaign at once. It ends by a successor or by an election timeout, and belongs to its term.
 */
import type { Core } from "./core.ts";
import type { Leadership, Transfer } from "./office.ts";
import type { RaftEvent, RejectReason } from "./step.ts";
import type { Millis, NodeId, RequestId } from "./types.ts";

export function onTransfer(
  core: Core,
  event: RaftEvent & { readonly type: "transfer" },
  now: Millis,
): void {
  const { id } = event;
  const office = core.leadership;
  if (office === null) return reject(core, id, "notLeader");
  if (office.transfer !== null) return reject(core, id, "transferring");
  const target = event.target ?? mostCaughtUp(core, office);
  if (target === core.id) return core.answer({ type: "transferred", id, leader: target });
  if (target === null || !core.configuration.voters.includes(target)) {
    return reject(core, id, "noTarget");
  }
  begin(core, office, { id, target }, now);
}

/** Gives way though nobody asked for it, to `to` or to the most caught-up voter; nothing where there is none. */
export function giveWay(
  core: Core,
  office: Leadership,
  to: NodeId | null,
  now: Millis,
): void {
  const target = to ?? mostCaughtUp(core, office);
  if (target !== null) begin(core, office, { id: null, target }, now);
}

function begin(
  core: Core,
  office: Leadership,
  { id, target }: Pick<Transfer, "id" | "target">,
  now: Millis,
): void {
  office.transfer = { id, target, until: now + core.options.electionTimeoutMs, told: false };
  // From here on somebody may be elected against the voters' promise, also if this transfer is given up.
  office.lease.endForThisTerm();
}

/** The voter that needs the least, of those that answer. */
function mostCaughtUp(core: Core, office: Leadership): NodeId | null {
  let best: NodeId | null = null;
  let bestMatch = -1;
  for (const id of core.configuration.voters) {
    const progress = office.progress.get(id);
    if (progress === undefined) continue;
    const match = progress.answering ? progress.match : -0.5;
    if (match <= bestMatch) continue;
    best = id;
    bestMatch = match;
  }
  return best;
}

/** Tells the target to campaign, once, as soon as it holds the whole log. */
export function settleTransfer(core: Core, office: Leadership): void {
  const { transfer } = office;
  if (transfer === null || transfer.told) return;
  if (office.progress.get(transfer.target)?.match !== core.log.lastIndex) return;
  transfer.told = true;
  core.post({ type: "timeoutNow", ...core.request(transfer.target) });
}

/** No successor in time: the office goes on, without its lease. */
export function onTransferTimeout(core: Core, office: Leadership): void {
  if (office.transfer === null) return;
  if (office.transfer.id !== null) reject(core, office.transfer.id, "timedOut");
  office.transfer = null;
}

/** The office is lost, and nobody is known to have it. */
export function onHandoverTimeout(core: Core): void {
  if (core.handover === null) return;
  reject(core, core.handover.id, "timedOut");
  core.handover = null;
}

function reject(core: Core, id: RequestId, reason: RejectReason): void {
  core.answer({ type: "transferRejected", id, reason });
}
