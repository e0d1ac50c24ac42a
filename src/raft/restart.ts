/** What the disk held, checked and made into a beginning. A contradiction stops the start: only an operator may decide. */
import { invariant } from "../assert.ts";
import type { LogEnd, LogPosition } from "./log.ts";
import type { RaftRestart } from "./step.ts";
import type { Entry, Index, NodeId, SnapshotMeta, Term } from "./types.ts";

interface Beginning {
  readonly term: Term;
  readonly vote: NodeId | null;
  readonly commit: Index;
  readonly snapshot: SnapshotMeta;
  readonly base: LogPosition;
  readonly entries: readonly Entry[];
  /** What the disk has as commit index; what it still has to be told. */
  readonly writtenCommit: Index;
  readonly writesTerm: boolean;
  readonly writesReset: boolean;
  readonly owes: LogEnd | null;
}

/**
 * A crash between the snapshot's installation and the log's reset leaves a log that ends before the snapshot, or
 * whose end the snapshot contradicts: nothing of it was committed beyond, so the reset is done again. The snapshot's
 * term may then be later than the one on record, in which no vote was given yet.
 *
 * @throws {InvariantViolation} where hard state, snapshot and log contradict each other.
 */
export function restore(restart: RaftRestart): Beginning {
  const { hardState, snapshot, logStart, entries, owes = null } = restart;
  const { term, vote, commit } = hardState;
  for (const value of [term, commit, snapshot.index, snapshot.term, logStart.index]) {
    invariant(Number.isSafeInteger(value) && value >= 0, `restart: ${value} is no index or term`);
  }
  invariant(vote === null || term > 0, `restart: a vote for ${vote} in term 0`);
  checkEntries(logStart, entries);
  const last = entries.at(-1) ?? logStart;
  invariant(
    last.term <= term,
    `restart: an entry of term ${last.term}, the term on record is ${term}`,
  );
  invariant(
    logStart.index <= snapshot.index,
    `restart: the log begins at ${logStart.index + 1}, the snapshot ends at ${snapshot.index}`,
  );
  invariant(
    commit <= Math.max(last.index, snapshot.index),
    `restart: commit ${commit} is beyond the log's end ${last.index}`,
  );
  const resets = !reaches(snapshot, logStart, entries, commit);
  return {
    term: Math.max(term, snapshot.term),
    vote: snapshot.term > term ? null : vote,
    commit: Math.max(commit, snapshot.index),
    snapshot,
    base: resets ? snapshot : logStart,
    entries: resets ? [] : entries,
    writtenCommit: commit,
    writesTerm: snapshot.term > term,
    writesReset: resets,
    owes,
  };
}

function checkEntries(logStart: LogPosition, entries: readonly Entry[]): void {
  let previous: { readonly index: Index; readonly term: Term } = logStart;
  for (const entry of entries) {
    invariant(
      entry.index === previous.index + 1 && entry.term >= previous.term,
      `restart: entry ${entry.index} of term ${entry.term} behind ${previous.index} of ${previous.term}`,
    );
    previous = entry;
  }
}

/** Whether the log holds what the snapshot stands for, so that what follows in it still counts. */
function reaches(
  snapshot: SnapshotMeta,
  logStart: LogPosition,
  entries: readonly Entry[],
  commit: Index,
): boolean {
  const offset = snapshot.index - logStart.index;
  const here = offset === 0 ? logStart : entries[offset - 1];
  if (here === undefined) return false;
  if (here.term === snapshot.term) {
    invariant(
      here.crc === snapshot.crc,
      `restart: log and snapshot have other histories at ${snapshot.index} of term ${here.term}`,
    );
    return true;
  }
  invariant(
    commit < snapshot.index,
    `restart: ${snapshot.index} is committed with term ${here.term}, the snapshot has ${snapshot.term}`,
  );
  return false;
}
