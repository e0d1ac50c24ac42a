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
  let best = { result: failed, overrides };
  const attempt = async (what: string, next: Overrides): Promise<boolean> => {
    const result = await simulate(seed, next);
    onTry(what, result);
    if (result.failure === null) return false;
    best = { result, overrides: next };
    return true;
  };
  const without = new Set<FaultKind>(overrides.without);
  for (const kind of faults) {
    const next = new Set([...without, kind]);
    if (await attempt(`without ${kind}`, { ...best.overrides, without: next })) without.add(kind);
  }
  for (let seconds = Math.ceil(best.result.simulatedSeconds); seconds > 1;) {
    const shorter = Math.floor(seconds / 2);
    if (!(await attempt(`${shorter} s`, { ...best.overrides, seconds: shorter }))) break;
    seconds = shorter;
  }
  return best;
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
