/** What each role does with each message, as a table, and what terms make of a message before that. */
import { invariant, unreachable } from "../assert.ts";
import type { Core } from "./core.ts";
import * as election from "./election.ts";
import { isReply } from "./message.ts";
import type { Message, MessageType, ReplyMessage, RequestMessage } from "./message.ts";
import * as reads from "./read-index.ts";
import * as replication from "./replication.ts";
import * as snapshots from "./snapshot.ts";
import type { Millis, Role } from "./types.ts";

type MessageMap = { readonly [M in Message as M["type"]]: M };
type MessageOf<T extends MessageType> = {
  readonly [K in T]: { readonly type: K } & MessageMap[K];
}[T];
type Handler<T extends MessageType> = (core: Core, message: MessageMap[T], now: Millis) => void;
type Handlers = { readonly [T in MessageType]: Handler<T> };

/** The reply came too late: this role awaits none of its kind. */
const ignore = (): void => {};

/** Only this term's leader sends these, and it is us. */
function twoLeaders(core: Core, message: Message): void {
  invariant(false, `two leaders in term ${core.term}: ${core.id} and ${message.from}`);
}

const FOLLOWER: Handlers = {
  preVote: election.onPreVote,
  preVoteReply: ignore,
  vote: election.onVote,
  voteReply: ignore,
  append: replication.onAppend,
  appendReply: ignore,
  heartbeat: reads.onHeartbeat,
  heartbeatReply: ignore,
  installSnapshot: snapshots.onInstallSnapshot,
  installSnapshotReply: ignore,
  timeoutNow: election.onTimeoutNow,
  timeoutNowReply: ignore,
  readIndex: refuse,
  readIndexReply: reads.onReadIndexReply,
};

const HANDLERS: Record<Role, Handlers> = {
  follower: FOLLOWER,
  learner: { ...FOLLOWER, timeoutNow: refuse },
  preCandidate: { ...FOLLOWER, preVoteReply: election.onPreVoteReply, readIndexReply: ignore },
  candidate: {
    ...FOLLOWER,
    voteReply: election.onVoteReply,
    timeoutNow: refuse,
    readIndexReply: ignore,
  },
  leader: {
    preVote: election.onPreVote,
    preVoteReply: ignore,
    vote: election.onVote,
    voteReply: ignore,
    append: twoLeaders,
    appendReply: replication.onAppendReply,
    heartbeat: twoLeaders,
    heartbeatReply: reads.onHeartbeatReply,
    installSnapshot: twoLeaders,
    installSnapshotReply: snapshots.onInstallSnapshotReply,
    timeoutNow: twoLeaders,
    timeoutNowReply: ignore,
    readIndex: reads.onReadIndex,
    readIndexReply: ignore,
  },
};

function dispatch<T extends MessageType>(core: Core, message: MessageOf<T>, now: Millis): void {
  HANDLERS[core.role][message.type](core, message, now);
}

/** A message that has come, to whatever its sender's term and this node's role make of it. */
export function receive(core: Core, message: Message, now: Millis): void {
  invariant(message.to === core.id, `a message for ${message.to} came to ${core.id}`);
  if (isReply(message)) receiveReply(core, message, now);
  else receiveRequest(core, message, now);
}

function receiveRequest(core: Core, message: RequestMessage, now: Millis): void {
  const { term, from, type } = message;
  // Candidates' terms count only for whom they win over: see `onPreVote` and `onVote`.
  if (type === "preVote") return dispatch(core, message, now);
  // The answer carries our term, and lets a leader or candidate of an earlier one step down.
  if (term < core.term) return refuse(core, message);
  if (term > core.term && type !== "vote") {
    const leader = type === "readIndex" ? null : from;
    core.becomeFollower({ term, leader }, now);
  }
  dispatch(core, message, now);
}

function receiveReply(core: Core, message: ReplyMessage, now: Millis): void {
  const { term, type } = message;
  const isVote = type === "preVoteReply" || type === "voteReply";
  // Who has found a leader since doesn't leave it over what a candidacy of its own brings in late.
  if (isVote && core.campaign === null) return;
  const asked = type === "preVoteReply" && message.granted;
  if (term > core.term && !asked) return core.becomeFollower({ term, leader: null }, now);
  if (term < core.term && !isVote) return;
  // The term is the answerer's: the request may be of an earlier office of ours, and its rounds were others.
  if (core.leadership !== null && message.id < core.leadership.firstRequest) return;
  dispatch(core, message, now);
}

/** Answers what this node won't do, for whatever reason: its term in the answer says why. */
function refuse(core: Core, message: RequestMessage): void {
  const header = core.reply(message);
  switch (message.type) {
    case "preVote":
      return core.post({ type: "preVoteReply", ...header, granted: false });
    case "vote":
      return core.post({ type: "voteReply", ...header, granted: false });
    case "append": {
      const rejection = { match: 0, rejectedIndex: message.previousIndex, conflictTerm: 0 };
      const conflictIndex = core.log.lastIndex + 1;
      const reply = { success: false, ...rejection, conflictIndex };
      return core.post({ type: "appendReply", ...header, ...reply });
    }
    case "heartbeat":
      return core.post({ type: "heartbeatReply", ...header, round: 0 });
    case "installSnapshot":
      return core.post({ type: "installSnapshotReply", ...header, success: false, match: 0 });
    case "timeoutNow":
      return core.post({ type: "timeoutNowReply", ...header });
    case "readIndex":
      return core.post({ type: "readIndexReply", ...header, index: null, indexTerm: 0 });
    default:
      unreachable(message);
  }
}
