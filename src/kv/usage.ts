/** How much a machine holds, and what it has done: at hand, however much it is. */
import type { AppliedCounts, State } from "./state.ts";

export interface KvUsage {
  readonly keys: number;
  /** Of keys and what they hold. */
  readonly bytes: number;
  readonly historyBytes: number;
  readonly leases: number;
  /** Of the idempotency table; it takes new sessions on below `bytesMax`. */
  readonly kept: Readonly<Record<"sessions" | "answers" | "bytes" | "bytesMax", number>>;
  readonly applied: Readonly<AppliedCounts>;
}

export function usageOf({ store, leases, idempotency, applied }: State): KvUsage {
  return {
    keys: store.size,
    bytes: store.bytes,
    historyBytes: store.historyBytes,
    leases: leases.size,
    kept: idempotency.usage,
    applied,
  };
}
