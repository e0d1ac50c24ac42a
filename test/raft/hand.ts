/** For tests that look at one node closely: groups whose other members speak by the test's hand. */
import assert from "node:assert/strict";
import type {
  Append,
  AppendReply,
  Entry,
  HardState,
  Heartbeat,
  HeartbeatReply,
  Message,
  MessageType,
  NodeId,
  RaftStatus,
  VoteReply,
} from "../../src/raft/mod.ts";
import { sealEntry } from "../../src/adapters/log-record.ts";
import { Cluster } from "./cluster.ts";
import { electionTimeoutMs } from "./options.ts";
import type { ClusterOptions } from "./options.ts";

type MessageOf<T extends MessageType> = Extract<Message, { readonly type: T }>;

/** A cluster that has been up for an election timeout, so that votes no longer stick to anybody. */
export function clusterOf(
  voters: readonly NodeId[],
  options: Omit<ClusterOptions, "voters"> = {},
): Cluster {
  const cluster = new Cluster({ ...options, voters });
  cluster.time += electionTimeoutMs;
  return cluster;
}

/** Gives a node a log of these terms, up for an election timeout; the first entry of a term is the empty one. */
export function give(
  cluster: Cluster,
  id: NodeId,
  terms: readonly number[],
  hardState: Partial<HardState> = {},
): void {
  cluster.crash(id);
  const { disk } = cluster.node(id);
  disk.entries = entriesOf(terms);
  disk.hardState = { term: terms.at(-1) ?? 0, vote: null, commit: 0, ...hardState };
  cluster.restart(id);
  cluster.node(id).clock.offset += electionTimeoutMs;
}

export function entriesOf(terms: readonly number[]): Entry[] {
  const entries: Entry[] = [];
  terms.forEach((term, position) => {
    const index = position + 1;
    const opens = term !== entries.at(-1)?.term;
    const payload = new TextEncoder().encode(opens ? "" : `k${index}=${term}`);
    const kind = opens ? "empty" : "command";
    entries.push(sealEntry({ index, term, kind, payload }, entries.at(-1)?.crc ?? 0));
  });
  return entries;
}

/** The messages on their way of one type, oldest first. */
export function sent<T extends MessageType>(
  cluster: Cluster,
  type: T,
  way: { readonly from?: NodeId; readonly to?: NodeId } = {},
): MessageOf<T>[] {
  const isOf = (message: Message): message is MessageOf<T> => message.type === type;
  return cluster.network.find(way).map(({ message }) => message).filter(isOf);
}

/** The only message of its type on its way. */
export function theOnly<T extends MessageType>(
  cluster: Cluster,
  type: T,
  way: { readonly from?: NodeId; readonly to?: NodeId } = {},
): MessageOf<T> {
  const [message, ...others] = sent(cluster, type, way);
  assert.ok(message !== undefined, `no ${type} is on its way`);
  assert.equal(others.length, 0, `more than one ${type} is on its way`);
  return message;
}

export function status(cluster: Cluster, id: NodeId): RaftStatus {
  return cluster.node(id).status;
}

/** Takes everything off the network, unread; the next look shows only what came after. */
export function clear(cluster: Cluster): void {
  cluster.network.parcels = [];
}

/** Delivers what matches. */
export function deliver(
  cluster: Cluster,
  way: { readonly from?: NodeId; readonly to?: NodeId; readonly type?: MessageType },
): void {
  for (const parcel of cluster.network.find(way)) cluster.deliver(parcel);
}

type Header = Pick<Message, "from" | "to" | "term" | "id">;

function back({ from, to, term, id }: Message): Header {
  return { from: to, to: from, term, id };
}

export function grant(request: MessageOf<"vote" | "preVote">): Message {
  const type = request.type === "vote" ? "voteReply" : "preVoteReply";
  return { type, ...back(request), granted: true };
}

export function refuse(request: MessageOf<"vote">): VoteReply {
  return { type: "voteReply", ...back(request), granted: false };
}

export function accept(append: Append, match?: number): AppendReply {
  const reached = match ?? append.previousIndex + append.entries.length;
  const rest = { rejectedIndex: 0, conflictTerm: 0, conflictIndex: 0 };
  return { type: "appendReply", ...back(append), success: true, match: reached, ...rest };
}

export function reject(
  append: Append,
  conflict: { readonly conflictTerm: number; readonly conflictIndex: number },
): AppendReply {
  const rest = { success: false, match: 0, rejectedIndex: append.previousIndex };
  return { type: "appendReply", ...back(append), ...rest, ...conflict };
}

export function hear(heartbeat: Heartbeat): HeartbeatReply {
  return { type: "heartbeatReply", ...back(heartbeat), round: heartbeat.round };
}

let requests = 1_000;

/** An append that was made by hand. */
export function append(
  way: { readonly from: NodeId; readonly to: NodeId; readonly term: number },
  content: Partial<Append> = {},
): Append {
  const previous = { previousIndex: 0, previousTerm: 0, previousCrc: 0 };
  return {
    type: "append",
    ...way,
    id: ++requests,
    ...previous,
    commit: 0,
    entries: [],
    ...content,
  };
}

/** Where an append that follows these entries begins. */
export function after(entry: Entry | undefined): Partial<Append> {
  if (entry === undefined) return {};
  const { index, term, crc } = entry;
  return { previousIndex: index, previousTerm: term, previousCrc: crc };
}

export function heartbeat(
  way: { readonly from: NodeId; readonly to: NodeId; readonly term: number },
  content: Partial<Heartbeat> = {},
): Heartbeat {
  const freshness = { acknowledged: 0, leaderCommit: 0, ageMs: 0 };
  return {
    type: "heartbeat",
    ...way,
    id: ++requests,
    commit: 0,
    round: 1,
    ...freshness,
    ...content,
  };
}

/** A vote or pre-vote request that was made by hand. */
export function ask(
  type: "vote" | "preVote",
  way: { readonly from: NodeId; readonly to: NodeId; readonly term: number },
  log: { readonly lastIndex: number; readonly lastTerm: number; readonly transfer?: boolean },
): MessageOf<"vote" | "preVote"> {
  const { lastIndex, lastTerm, transfer = false } = log;
  const header = { ...way, id: ++requests, lastIndex, lastTerm };
  return type === "vote" ? { type, ...header, transfer } : { type, ...header };
}
