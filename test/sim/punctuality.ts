/**
 * Where nothing is wrong any more, what is due goes in time, by the time of whoever leads; and that time goes on, as
 * fast as the slowest clock allowed.
 */
import type { Machine } from "./node.ts";
import type { Oracles } from "./oracles.ts";
import type { Probes } from "./probes.ts";
import type { World } from "./world.ts";

export interface PunctualityParts {
  readonly world: World;
  readonly oracles: Oracles;
  readonly probes: Probes;
  /** Clocks lose so much at most, as a fraction. */
  readonly drift: number;
}

/** What is due is gone so much later (api.md), in milliseconds. */
const lateMsMax = 250;
/** And a commit. */
const commitMs = 500;
const stepUs = 50_000;
/** What is due in so long is waited for. */
const soonMs = 3000;
const stepsMax = 80;
/** Times are whole milliseconds. */
const graceMs = 2;

/** Goes on until nothing is due soon. */
export async function checkPunctuality(
  parts: PunctualityParts,
  machines: readonly Machine[],
): Promise<void> {
  const { world, oracles } = parts;
  let since = { leader: "", at: 0, time: 0 };
  /** Until when what is due could not be helped: a fault may have ended only now. */
  let excusedTo: number | null = null;
  for (let steps = 0; steps < stepsMax && oracles.failure === null; steps++) {
    const [leader] = machines.filter(({ replica }) => replica?.status().role === "leader")
      .toSorted((a, b) => (b.replica?.status().term ?? 0) - (a.replica?.status().term ?? 0));
    if (leader === undefined || leader.replica === null) return;
    const name = `${leader.id}@${leader.replica.status().term}`;
    const time = leader.replica.time();
    if (since.leader !== name) since = { leader: name, at: world.now, time };
    const passedMs = (world.now - since.at) / 1000 * (1 - parts.drift) - graceMs;
    const least = Math.max(oracles.reference.model.time, since.time + passedMs);
    if (time < least) {
      return oracles.fail(
        `by ${name} it is ${time}, and at least ${Math.round(least)} have passed`,
      );
    }
    // A disk that is slow still is a commit that takes as long.
    const isStalled = machines.some(({ replica }) =>
      (replica?.status().persistLagMs ?? 0) > lateMsMax
    );
    if (excusedTo === null || isStalled) excusedTo = time;
    const isOver = !checkDues(parts, leader, { time, excusedTo });
    if (isOver) return;
    await world.run(world.now + stepUs);
  }
}

/** Whether anything is due soon. */
function checkDues(
  { oracles, probes }: PunctualityParts,
  leader: Machine,
  { time, excusedTo }: { readonly time: number; readonly excusedTo: number },
): boolean {
  const { machine } = leader;
  if (machine === null) return false;
  const dues: (readonly [string, number])[] = [];
  for (const [key, { due }] of machine.store.list({ start: "", end: null })) {
    if (due !== null) dues.push([`key ${key}`, due]);
  }
  for (const { id, due } of machine.leases()) dues.push([`lease ${id}`, due]);
  for (const [what, due] of dues) {
    if (time - Math.max(due, excusedTo) <= lateMsMax + commitMs) continue;
    oracles.fail(
      `${what} was due at ${due}, and ${leader.id}, which leads, still has it at ${time}`,
    );
  }
  const isAnySoon = dues.some(([, due]) => due <= time + soonMs);
  if (isAnySoon) probes.reached("due while all is well");
  return isAnySoon;
}
