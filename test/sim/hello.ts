/**
 * How a machine with an empty disk becomes a node: it asks those that run, until one knows a committed configuration
 * that names it in this life of its disk. Whose id another life has been known by never gets there.
 */
import type { Network } from "./network.ts";
import type { Machine } from "./node.ts";
import type { SimOptions } from "./options.ts";
import type { Oracles } from "./oracles.ts";
import { Random } from "./random.ts";
import type { World } from "./world.ts";

export interface HelloParts {
  readonly options: SimOptions;
  readonly world: World;
  readonly network: Network;
  readonly oracles: Oracles;
  readonly machines: readonly Machine[];
}

/** For as long as the run lasts. */
export function startHellos(parts: HelloParts): void {
  const random = new Random(parts.options.seed, "hello");
  const everyMs = random.pick([50, 200, 1000]);
  const wait = (): void => {
    parts.world.after(Math.round(random.exponential(everyMs) * 1000), () => {
      const running = parts.machines.filter(({ replica }) => replica !== null);
      for (const machine of parts.machines.filter(({ waits }) => waits)) {
        if (running.length > 0) greet(parts, machine, random.pick(running));
      }
      wait();
    });
  };
  wait();
}

function greet({ network, oracles }: HelloParts, machine: Machine, other: Machine): void {
  const { id, incarnation } = machine;
  network.carry(machine, other, () => {
    const { replica } = other;
    if (replica === null) return;
    // Which life of a member counts is the core's to say.
    replica.bind(id, incarnation);
    const { applied } = replica.status();
    oracles.memberships.committed(other.id, applied);
    const known = oracles.memberships.at(applied).configuration;
    network.carry(other, machine, () => machine.greeted(incarnation, known), "anyNumber");
  }, "anyNumber");
}
