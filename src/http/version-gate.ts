/** What only a later version of the cluster knows is refused until its version is that: see `kv/cluster-version.ts`. */
import { newestVersion, releaseOf } from "../kv/cluster-version.ts";
import type { Host } from "./exchange.ts";
import { Refusal } from "./problem.ts";

/**
 * Call it before a command is proposed that version 1 doesn't know.
 * @param what in words, e.g. `access control`
 * @throws {Refusal} 503 `not_ready`, which names the members that keep the cluster from it, as far as is known here.
 */
export function requireVersion(
  { machine, replica, speaks }: Pick<Host, "machine" | "replica" | "speaks">,
  what: string,
  needed: number = newestVersion,
): void {
  if (machine.version >= needed) return;
  const { voters, outgoing, learners } = replica.members().configuration;
  const members = [...new Set([...voters, ...outgoing, ...learners])].toSorted();
  const behind = members.flatMap((id) => {
    const version = id === replica.id ? newestVersion : speaks?.(id) ?? null;
    return version === null || version >= needed ? [] : [`${id} runs ${releaseOf(version)}`];
  });
  throw new Refusal(
    "not_ready",
    `${what} waits until every member runs ${releaseOf(needed)}` +
      (behind.length === 0 ? "" : `: ${behind.join(", ")}`),
  );
}
