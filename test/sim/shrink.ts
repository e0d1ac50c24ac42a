/** Makes a failing run smaller: fewer kinds of faults, less time, as long as it still fails. */
import type { FaultKind, Overrides } from "./options.ts";
import { type RunResult, simulate } from "./run.ts";

/** The smallest failing run that was found; `onTry` hears of each attempt. */
export async function shrink(
  failed: RunResult,
  overrides: Overrides,
  onTry: (what: string, result: RunResult) => void,
): Promise<{ readonly result: RunResult; readonly overrides: Overrides }> {
  const { seed, faults } = failed.options;
  const kind = kindOf(failed.failure);
  let best = { result: failed, overrides };
  const attempt = async (what: string, next: Overrides): Promise<boolean> => {
    const result = await simulate(seed, next);
    onTry(what, result);
    if (kindOf(result.failure) !== kind) return false;
    best = { result, overrides: next };
    return true;
  };
  const without = new Set<FaultKind>(overrides.without);
  // Without some, others may be dispensable that were not before.
  for (let before = -1; before < without.size;) {
    before = without.size;
    for (const fault of faults) {
      if (without.has(fault)) continue;
      const next = new Set([...without, fault]);
      if (await attempt(`without ${fault}`, { ...best.overrides, without: next })) {
        without.add(fault);
      }
    }
  }
  for (let seconds = Math.ceil(best.result.simulatedSeconds); seconds > 1;) {
    const shorter = Math.floor(seconds / 2);
    if (!(await attempt(`${shorter} s`, { ...best.overrides, seconds: shorter }))) break;
    seconds = shorter;
  }
  return best;
}

/** What did not hold, whoever it was and whatever the figures: another failure is another run's business. */
function kindOf(failure: string | null): string | null {
  return failure?.split("\n")[0]?.replaceAll(/"[^"]*"|[{[].*[}\]]|\bn\d+\b|\d+/g, "#") ?? null;
}

/** The command that runs it again. */
export function command(seed: bigint, overrides: Overrides): string {
  const { seconds, nodes, clients, thinkMs, faults, without } = overrides;
  const parts = ["npm run sim --", `--seed ${seed}`];
  if (seconds !== undefined) parts.push(`--seconds ${seconds}`);
  if (nodes !== undefined) parts.push(`--nodes ${nodes}`);
  if (clients !== undefined) parts.push(`--clients ${clients}`);
  if (thinkMs !== undefined) parts.push(`--think ${thinkMs}`);
  if (faults !== undefined) parts.push(`--faults ${[...faults].join() || "none"}`);
  if (without !== undefined && without.size > 0) parts.push(`--without ${[...without].join()}`);
  return parts.join(" ");
}
