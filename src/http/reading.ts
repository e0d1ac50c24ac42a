/** `?consistency=` and `?max_stale=`: when a read may be served. */
import { TooStale } from "../errors.ts";
import type { Exchange } from "./exchange.ts";
import { badRequest } from "./problem.ts";
import type { Query } from "./target.ts";
import { stalenessHeader } from "./wire.ts";

/** The parameters that {@link confirmRead} reads. */
export const readNames: ReadonlySet<string> = new Set(["consistency", "max_stale", "revision"]);

const levels = ["linearizable", "lease", "stale"] as const;
const none: Readonly<Record<string, string>> = {};

/**
 * Resolves when the machine may be read, in the same turn, with the headers that the answer then carries.
 * @throws {NotApplied} where a leader did not confirm the read in time.
 * @throws {TooStale} where this node can't keep `max_stale`.
 * @throws {Refusal} 400
 */
export async function confirmRead(
  { host }: Exchange,
  query: Query,
): Promise<Readonly<Record<string, string>>> {
  if (query.get("revision") !== null) throw badRequest("query: revision is not supported");
  const consistency = query.choice("consistency", levels, "linearizable");
  const maxStaleMs = query.duration("max_stale");
  if (consistency !== "stale") {
    const level = host.leaseReads ? "lease" : consistency;
    await host.replica.read(level, host.limits.requestTimeoutMs);
    return none;
  }
  const stalenessMs = host.replica.stalenessMs();
  if (maxStaleMs !== null && (stalenessMs === null || stalenessMs > maxStaleMs)) {
    const known = stalenessMs === null ? "of unknown age" : `up to ${stalenessMs} ms old`;
    throw new TooStale(`this node's state is ${known}`);
  }
  return stalenessMs === null ? none : { [stalenessHeader]: String(stalenessMs) };
}
