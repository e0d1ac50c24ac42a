/**
 * While one node may answer reads from its lease, nobody else leads a later term (thesis 6.4.1). What a stale answer
 * would show only to a client that asks at the right moment is asked here whenever somebody is elected, and for a
 * while after, of everybody who still believes to lead: whoever answers without asking anyone has a lease that it
 * must not have. Asking is a lease read by the replica's own door, whatever the run's clients use.
 */
import type { Machine } from "./node.ts";
import type { Oracles } from "./oracles.ts";
import type { Probes } from "./probes.ts";
import type { World } from "./world.ts";

/** Times that a deposed leader is asked, and how many of these fit in an election timeout. */
const asksMax = 60;
const asksInTimeout = 6;

export interface LeaseParts {
  readonly options: { readonly electionTimeoutMs: number };
  readonly world: World;
  readonly oracles: Oracles;
  readonly probes: Probes;
  readonly machines: readonly Machine[];
}

/** `term` has a leader from now on. */
export function questionLeases(parts: LeaseParts, term: number, asks: number = asksMax): void {
  const { options, world, oracles, machines } = parts;
  const deposed = machines.filter(({ replica }) => {
    const status = replica?.status();
    return status?.role === "leader" && status.term < term;
  });
  if (deposed.length === 0 || asks === 0 || oracles.failure !== null) return;
  for (const machine of deposed) if (!machine.paused) question(parts, machine, term);
  const laterUs = options.electionTimeoutMs * 1000 / asksInTimeout;
  world.after(laterUs, () => questionLeases(parts, term, asks - 1));
}

function question(
  { options, world, oracles, probes }: LeaseParts,
  { id, replica }: Machine,
  term: number,
): void {
  if (replica === null) return;
  const askedAt = world.now;
  probes.reached("deposed leader asked for its lease");
  const answered = (): void => {
    if (world.now > askedAt) return;
    oracles.fail(`${id} answers reads from its lease, and somebody else leads term ${term}`);
  };
  replica.read("lease", options.electionTimeoutMs).then(answered, () => {});
}
