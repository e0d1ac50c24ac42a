/**
 * Raft: a pure consensus core.
 *
 * A replica hands in what happened (a message, a timer, a completed write) with the time, and is told what to do:
 * messages to send, one write, entries to apply, answers to requests. Nothing here reads a clock, draws a random
 * number, waits or does I/O, so the same events give the same effects, on any machine, for ever.
 *
 * **The chapters**, after Ongaro's thesis. `raft.ts` is the door, `dispatch.ts` a table of what each role does with each
 * message. `election.ts` (3.4, 9.6): pre-votes, votes that stick, a leader that leaves when no quorum answers.
 * `replication.ts` (3.5, 3.6): appends, rejections, commit. `progress.ts`: what a leader knows of a peer.
 * `read-index.ts`, `lease.ts` (6.4): reads that cost no log entry. `transfer.ts` (3.10). `snapshot.ts` (5).
 * `membership.ts`, `quorum.ts` (4): who counts; `change.ts` (4.2, 4.3): who is to; `priority.ts`: who is to lead rather.
 * Beneath them `core.ts` (the shared state), `office.ts` (what a leader has), `log.ts`, `journal.ts` (what the disk owes
 * us), `restart.ts`. Handlers record facts; what a leader makes of them is decided once, at the end of a step, in
 * `settle`. So no chapter calls back into another.
 *
 * **What holds, whatever is lost, repeated, delayed, reordered, or dies**:
 * 1. At most one leader a term. Votes and terms are on the disk before anybody hears of them (`Persist.sendAfter`).
 * 2. Two logs that have the same index, term and CRC are the same up to there. Finding otherwise halts the replica.
 * 3. What is committed is on a quorum's disks, and in the log of every later leader. It never changes; a leader
 *    commits by counting only in its own term; commit and term never go back, nor does `match` but for a peer whose
 *    disk lost what it had acknowledged (`Core.owes`).
 * 4. Entries are handed out to be applied in order, once in a process's life, committed and durable here.
 * 5. A confirmed read reflects every write that was acknowledged, and every read that was answered, before it began.
 * 6. Every request message gets at most one reply, and exactly one from a replica that lives on and hears from its
 *    cluster; every `propose`, `read`, `transfer` and `change` gets one answer. What can't be kept is refused, never dropped.
 * 7. All that waits here is bounded by a named limit.
 *
 * A broken invariant is thrown as `InvariantViolation`; the replica must then halt, for its state is half changed.
 *
 * **What the driver owes**: `step` with times that never go back; writes in order of `seq`, each atomic, `persisted`
 * once they are durable; `sendAfter` not before; for every request sent either its reply or `unreachable`, so that
 * windows drain; `clockJumped` before anything else after a suspension; `installSnapshot` delivered only when its
 * bytes are there, and `Effects.restore` obeyed before the same step's write.
 *
 * **What it leaves out**: bytes on the wire and on the disk, transferring a snapshot's bytes, deciding when to take
 * one, requests' timeouts, and whether a change of membership makes sense to anybody.
 *
 * @example A cluster of one, with a seal that a test would use: `adapters/log-record.ts` has the real one.
 * ```ts
 * const configuration = { voters: ["n1"], outgoing: [], learners: [], urls: {} };
 * const birth = { index: 0, term: 0, crc: 0 };
 * const limits = {
 *   appendBytesMax: 1e6, inflightAppendsMax: 4, inflightBytesMax: 1e7, uncommittedBytesMax: 1e7,
 *   applyLagMax: 1000, pendingReadsMax: 100, trailingEntries: 100,
 *   trailingBytesMax: 1 << 20,
 * };
 * const raft = new Raft({
 *   id: "n1", electionTimeoutMs: 500, heartbeatIntervalMs: 50, noticeDelayMs: 5, maxClockDrift: 0.1,
 *   maxClockJumpMs: 20, limits, random: () => 0.5,
 *   seal: (draft, previousCrc) => ({ ...draft, crc: previousCrc + 1, record: draft.payload }),
 * }, {
 *   hardState: { term: 0, vote: null, commit: 0 }, snapshot: { ...birth, configuration }, logStart: birth, entries: [],
 * });
 * raft.step({ type: "timeout" }, 0);                // campaigns: term and vote go to the disk
 * raft.step({ type: "persisted", seq: 1 }, 1);      // leads: the empty entry goes to the disk
 * const { apply } = raft.step({ type: "persisted", seq: 2 }, 2);
 * console.assert(apply.length === 1 && raft.status().role === "leader");
 * ```
 */
export { InvariantViolation } from "../assert.ts";
export { isChanging } from "./change.ts";
export { decodeConfiguration, encodeConfiguration, MEMBERS_MAX, membersOf } from "./membership.ts";
export { isReply } from "./message.ts";
export type * from "./message.ts";
export { Raft } from "./raft.ts";
export type * from "./step.ts";
export type * from "./types.ts";
