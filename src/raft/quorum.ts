/** Majorities, over both halves of a joint configuration (thesis 4.3). Arithmetic only. */
import { invariant } from "../assert.ts";
import type { Configuration, NodeId } from "./types.ts";

/** The largest value that a majority of `voters` has reached. */
function majorityValue(voters: readonly NodeId[], valueOf: (id: NodeId) => number): number {
  const values = voters.map(valueOf).sort((a, b) => b - a);
  const value = values[Math.floor(values.length / 2)];
  invariant(value !== undefined, "a quorum of no voters");
  return value;
}

/**
 * The largest value that a quorum has reached: an index that a quorum holds, a round that it answered, a time since
 * which it was heard from. In a joint configuration both halves must have reached it.
 *
 * @example
 * ```ts
 * const match = new Map([["a", 5], ["b", 3], ["c", 1]]);
 * quorumValue({ voters: ["a", "b", "c"], outgoing: [], learners: [], urls: {} }, (id) => match.get(id) ?? 0); // 3
 * ```
 */
export function quorumValue(
  configuration: Configuration,
  valueOf: (id: NodeId) => number,
): number {
  const incoming = majorityValue(configuration.voters, valueOf);
  if (configuration.outgoing.length === 0) return incoming;
  return Math.min(incoming, majorityValue(configuration.outgoing, valueOf));
}

export type VoteResult = "won" | "lost" | "pending";

/** Where an election stands. `votes` holds the answers so far; who is no voter doesn't count. */
export function voteResult(
  configuration: Configuration,
  votes: ReadonlyMap<NodeId, boolean>,
): VoteResult {
  const granted = (id: NodeId): number => votes.get(id) === true ? 1 : 0;
  if (quorumValue(configuration, granted) === 1) return "won";
  const notRefused = (id: NodeId): number => votes.get(id) === false ? 0 : 1;
  return quorumValue(configuration, notRefused) === 1 ? "pending" : "lost";
}
