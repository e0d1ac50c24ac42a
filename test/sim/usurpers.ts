/**
 * Leaders that still believe in their lease while another one is elected (thesis 6.4.1): what a node promised, and by
 * whose clock it is measured, has to hold through restarts, lost paths and answers that are old when they arrive.
 */
import type { NemesisParts } from "./nemesis.ts";
import type { Machine } from "./node.ts";
import type { Random } from "./random.ts";

export interface UsurperMeans {
  /** Cuts directions for a time, in microseconds. */
  readonly cutAll: (pairs: readonly (readonly [string, string])[], us: number) => boolean;
  readonly transfer: (from: Machine, to: Machine, random: Random) => boolean;
  readonly suspend: (machine: Machine, us: number, random: Random) => void;
  /** Unless the faults have ended by then. */
  readonly later: (us: number, act: () => void) => void;
}

type Scene = NemesisParts & UsurperMeans;

/**
 * Some that have not heard of the leader for long find it cut off, at times the others just restarted: who forgets with
 * its memory that it promised the leader a lease, or measures it by the wrong clock, elects another one within it.
 */
export function usurp(scene: Scene, random: Random): boolean {
  const { machines, options, cutAll, later, suspend, transfer } = scene;
  const leader = machines.find((machine) => machine.replica?.status().role === "leader");
  const [slowest] = machines.toSorted((a, b) => a.clock.rate - b.clock.rate);
  if (leader === undefined || slowest === undefined) return false;
  // Its lease lasts longest.
  if (leader !== slowest && random.chance(0.5)) return transfer(leader, slowest, random);
  const electionUs = options.electionTimeoutMs * 1000;
  const followers = random.shuffled(machines.filter((each) => each !== leader));
  const deaf = followers.splice(0, random.whole(1, Math.max(1, (machines.length - 1) >> 1)));
  const deafUs = Math.round(random.between(1, 3) * electionUs);
  const away = ({ id }: Machine) => [[leader.id, id], [id, leader.id]] as const;
  cutAll(deaf.flatMap(away), deafUs + 3 * electionUs);
  later(deafUs, () => {
    // By its clock the lease lasts on; by that of whoever is elected meanwhile it is over.
    if (options.faults.has("suspends")) {
      suspend(leader, Math.round(random.between(0, 2) * electionUs), random);
    }
    if (random.chance(0.5)) cutAll(followers.flatMap(away), 3 * electionUs);
    else answerLate(scene, leader, followers, random);
    for (const follower of random.chance(0.5) ? followers : []) {
      follower.end("signal");
      follower.startLater(random.below(20_000));
    }
  });
  return true;
}

/** Their last answers reach the leader when they are old, and they hear it no more. */
function answerLate(
  { network, options, world, cutAll, later }: Scene,
  leader: Machine,
  followers: readonly Machine[],
  random: Random,
): void {
  const lateUs = Math.round(random.between(0.5, 1) * options.electionTimeoutMs * 1000);
  for (const { id } of followers) network.clog(id, leader.id, world.now + lateUs);
  later(1500 * options.heartbeatIntervalMs, () => {
    const outward = followers.map(({ id }) => [leader.id, id] as const);
    cutAll(outward, 3000 * options.electionTimeoutMs);
  });
}
