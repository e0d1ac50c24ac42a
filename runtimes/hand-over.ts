/** A leader that stops gives its office to another first, so that nobody has to wait for an election. */
import { stopLimits } from "../src/config.ts";
import type { Logger } from "../src/ports.ts";
import type { Replica } from "../src/replica.ts";

export async function handOver<Result>(replica: Replica<Result>, log: Logger): Promise<void> {
  const { role, configuration } = replica.status();
  if (role !== "leader" || configuration.voters.length <= 1) return;
  try {
    const leader = await replica.transferLeadership(null, stopLimits.transferTimeoutMs);
    log("info", "handed leadership over", { leader });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log("warn", "leadership was not handed over", { reason });
  }
}
