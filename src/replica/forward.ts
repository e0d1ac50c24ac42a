/** A write's one hop: from the node that was asked to the leader, and the answer on its way back. */
import { NotApplied, OutcomeUnknown, PeerUnreachable } from "../errors.ts";
import type { ForwardReply, Span, StateMachine } from "../ports.ts";
import type { NodeId } from "../raft/types.ts";
import type { ReplicaParts } from "./parts.ts";
import type { Applied } from "./proposals.ts";

/**
 * Hands a command to the leader. Null where that certainly did not get it, or did not append it for want of office.
 * @throws {NotApplied} {OutcomeUnknown}
 */
export async function forwardCommand<Result>(
  { transport, clock, machine }: Pick<ReplicaParts<Result>, "transport" | "clock" | "machine">,
  leader: NodeId,
  command: Uint8Array,
  { deadline, span }: { readonly deadline: number; readonly span: Span | null },
): Promise<Applied<Result> | null> {
  const hop = span?.child("forward", "client") ?? null;
  hop?.set("holdfast.leader", leader);
  try {
    const reply = await transport.forward(leader, command, deadline - clock.now(), hop);
    hop?.end(reply.type === "applied" ? null : reply.type);
    if (reply.type === "applied") {
      const result = machine.decodeResult(reply.result);
      return { index: reply.index, term: reply.term, result };
    }
    if (reply.type === "unknown") {
      throw new OutcomeUnknown("the leader did not learn the write's fate in time");
    }
    if (reply.reason === "no_leader") return null;
    throw new NotApplied(
      reply.reason,
      reply.reason === "overloaded"
        ? `the leader ${leader} has too much to commit`
        : `the leader ${leader} takes no writes now: its disk is almost full, or it is stopping; its log says which`,
    );
  } catch (error) {
    if (!(error instanceof PeerUnreachable)) throw error;
    hop?.end("unreachable");
    if (error.reason === "busy") {
      throw new NotApplied("overloaded", "too many writes are on their way to the leader");
    }
    if (!error.maybeReceived) return null;
    throw new OutcomeUnknown(
      `the leader ${leader} was given the write and did not answer: ${error.message}`,
    );
  }
}

/** What the leader answers. `propose` resolves with null where it does not lead, and nothing was appended. */
export async function forwardReply<Result>(
  machine: StateMachine<Result>,
  propose: () => Promise<Applied<Result> | null>,
): Promise<ForwardReply> {
  try {
    const applied = await propose();
    if (applied === null) return { type: "notApplied", reason: "no_leader" };
    const { index, term } = applied;
    return { type: "applied", index, term, result: machine.encodeResult(applied.result) };
  } catch (error) {
    if (error instanceof NotApplied) return { type: "notApplied", reason: error.reason };
    if (error instanceof OutcomeUnknown) return { type: "unknown" };
    throw error;
  }
}
