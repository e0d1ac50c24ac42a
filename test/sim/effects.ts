/** What commands came to, for the count of what a good run of seeds has reached. */
import type { KvResult } from "../../src/kv/result.ts";
import type { Probe, Probes } from "./probes.ts";
import type { AppliedFirst } from "./reference.ts";

export function reachedBy({ result, effect }: AppliedFirst, probes: Probes): void {
  const { revision, before } = effect;
  const probe = probeOf(result);
  if (probe !== null) probes.reached(probe);
  if (result.type === "expired" && revision > before + 1) {
    probes.reached("several ends by one command");
  }
}

function probeOf(result: KvResult): Probe | null {
  switch (result.type) {
    case "transaction":
      return result.succeeded ? "transaction succeeded" : "transaction went the other way";
    case "batch":
      return result.results.some(({ type }) => type === "conditionFailed")
        ? "batch with a failed item"
        : "batch applied";
    case "notInteger":
      return "add to what is no number";
    case "noLease":
      return "lease that is over";
    case "lease":
      return "lease granted or kept alive";
    case "revoked":
      return "lease revoked";
    case "expired":
      return result.deleted > 0 ? "keys expired" : null;
    case "configured":
      return "history's limits set";
    case "upgraded":
      return "cluster's version raised";
    default:
      return null;
  }
}
