/** What of the data model the clients of a run use, beside plain puts, deletes and reads. */
import { Random } from "./random.ts";

export const allUses = [
  "ttl",
  "metadata",
  "leases",
  "transactions",
  "batches",
  "adds",
  "keys",
  "past",
  "watchers",
] as const;
export type Use = (typeof allUses)[number];

/** One run in eight uses nothing of it. Each from a stream of its own, so that one more leaves the others. */
export function drawUses(seed: bigint): ReadonlySet<Use> {
  const random = new Random(seed, "uses");
  if (random.chance(1 / 8)) return new Set();
  const share = random.pick([0.3, 0.5, 0.5, 0.9]);
  return new Set(allUses.filter((use) => new Random(seed, `use ${use}`).chance(share)));
}
