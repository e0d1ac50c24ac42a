/** How golden scripts spell what happened. `4@2` is the entry at index 4 of term 2; `append@2` a message of term 2. */
import { unreachable } from "../../src/assert.ts";
import type { Answer, Entry, Message, Persist, RaftStatus } from "../../src/raft/mod.ts";

const text = new TextDecoder();

export function entryName(entry: { readonly index: number; readonly term: number }): string {
  return `${entry.index}@${entry.term}`;
}

/** `4@2 5@2`, or `4@2…9@2` where a run of one term is longer than three. */
export function entryNames(entries: readonly Entry[]): string {
  const runs: string[] = [];
  for (let from = 0; from < entries.length;) {
    let to = from;
    while (entries[to + 1]?.term === entries[from]?.term) to++;
    const run = entries.slice(from, to + 1).map(entryName);
    runs.push(...(run.length > 3 ? [`${run[0]}…${run.at(-1)}`] : run));
    from = to + 1;
  }
  return runs.join(" ");
}

/** `4@2 x=1`: an entry with what it carries. */
export function entryText(entry: Entry): string {
  switch (entry.kind) {
    case "command":
      return `${entryName(entry)} ${text.decode(entry.payload)}`;
    case "empty":
    case "configuration":
      return `${entryName(entry)} (${entry.kind})`;
  }
}

/** `n1@2 leader last=3@2 commit=2`, with the leader that it knows: `follower of n1`. */
export function statusText(status: RaftStatus): string {
  const { id, term, role, leader, lastIndex, lastTerm, commit, firstIndex } = status;
  const following = leader === null || leader === id ? "" : ` of ${leader}`;
  const first = firstIndex === 1 ? "" : ` first=${firstIndex}`;
  return `${id}@${term} ${role}${following}${first} last=${lastIndex}@${lastTerm} commit=${commit}`;
}

export function messageText(message: Message): string {
  return `${message.from}→${message.to} ${message.type}@${message.term}${messageDetail(message)}`;
}

function messageDetail(message: Message): string {
  switch (message.type) {
    case "preVote":
      return ` last=${message.lastIndex}@${message.lastTerm}`;
    case "vote":
      return ` last=${message.lastIndex}@${message.lastTerm}${message.transfer ? " transfer" : ""}`;
    case "preVoteReply":
    case "voteReply":
      return message.granted ? " granted" : " refused";
    case "append": {
      const entries = message.entries.length === 0 ? "nothing" : entryNames(message.entries);
      return ` ${entries} after ${message.previousIndex}@${message.previousTerm} commit=${message.commit}`;
    }
    case "appendReply":
      return message.success
        ? ` match=${message.match}`
        : ` rejects ${message.rejectedIndex}, conflict ${message.conflictIndex}@${message.conflictTerm}`;
    case "heartbeat":
      return ` round=${message.round} commit=${message.commit}`;
    case "heartbeatReply":
      return ` round=${message.round}`;
    case "installSnapshot":
      return ` ${entryName(message.meta)}`;
    case "installSnapshotReply":
      return message.success ? ` match=${message.match}` : " refused";
    case "timeoutNow":
    case "timeoutNowReply":
      return "";
    case "readIndex":
      return ` ${message.level}`;
    case "readIndexReply":
      return message.index === null ? " none" : ` index=${message.index}@${message.indexTerm}`;
    default:
      return unreachable(message);
  }
}

/** What one write puts on the disk; empty where it only keeps its messages in order. */
export function persistText(persist: Persist): string {
  const parts: string[] = [];
  const { hardState, reset, truncateFrom, entries } = persist;
  if (hardState !== null) {
    const { term, vote, commit } = hardState;
    parts.push(`term=${term} vote=${vote ?? "-"} commit=${commit}`);
  }
  if (reset !== null) parts.push(`log reset to ${entryName(reset)}`);
  if (truncateFrom !== null) parts.push(`cut from ${truncateFrom}`);
  if (entries.length > 0) parts.push(entryNames(entries));
  return parts.length === 0 ? "nothing" : parts.join(", ");
}

export function answerText(answer: Answer): string {
  switch (answer.type) {
    case "proposed": {
      if (answer.accepted === 0) return `refuses the proposal: ${answer.reason}`;
      const last = answer.firstIndex + answer.accepted - 1;
      const names = answer.accepted === 1
        ? `${answer.firstIndex}@${answer.term}`
        : `${answer.firstIndex}@${answer.term}…${last}@${answer.term}`;
      return `accepts ${names}${
        answer.reason === null ? "" : `, the rest refused: ${answer.reason}`
      }`;
    }
    case "readable":
      return `read ${answer.id} readable at ${answer.index}`;
    case "readRejected":
      return `read ${answer.id} rejected: ${answer.reason}`;
    case "changed":
      return `begins the change with ${answer.index}@${answer.term}`;
    case "changeRejected":
      return `refuses the change: ${answer.reason}`;
    case "transferred":
      return `transferred to ${answer.leader}`;
    case "transferRejected":
      return `transfer rejected: ${answer.reason}`;
    default:
      return unreachable(answer);
  }
}
