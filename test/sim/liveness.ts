/**
 * The second phase of a run: enough is healed that every quorum in play has a majority, the rest is frozen for ever,
 * and the cluster has to elect, serve, end the change that is under way, and converge within bounded simulated time.
 */
import { statusText } from "../raft/notation.ts";
import type { History } from "./history.ts";
import { canonical, halvesOf, membersOf } from "./member-requests.ts";
import type { Nemesis } from "./nemesis.ts";
import type { Machine } from "./node.ts";
import type { Simulation } from "./simulation.ts";
import type { Request } from "./operation.ts";
import type { SimOptions } from "./options.ts";
import { checkPunctuality } from "./punctuality.ts";
import type { Random } from "./random.ts";
import { clientEnd, type Workload } from "./workload.ts";

const second = 1_000_000;
/** At the default election timeout every node serves again so soon after the last fault, in microseconds (api.md). */
const recoveryUs = 15 * second;
const electionTimeoutDefaultMs = 500;
/** A write that a slow disk had begun may take so much longer, until the process gives up on it. */
const stalledUs = 12 * second;
/** A change waits so many election timeouts more for newcomers that don't come, and for its leader to give way. */
const changeTimeouts = 80;
/** Pairs of puts, which may overtake each other on their way, with nothing behind them that would push them on. */
const putRounds = 24;
const livenessStepUs = 100_000;

export interface LivenessParts extends Simulation {
  readonly machines: readonly Machine[];
  readonly history: History;
  readonly workload: Workload;
  readonly nemesis: Nemesis;
}

/** The time within which a cluster of these options recovers, in microseconds. */
export function recoveryOf({ electionTimeoutMs }: SimOptions): number {
  return recoveryUs * Math.max(1, electionTimeoutMs / electionTimeoutDefaultMs);
}

export class Liveness {
  readonly #of: LivenessParts;
  readonly #random: Random;

  constructor(of: LivenessParts, random: Random) {
    this.#of = of;
    this.#random = random;
  }

  /** Returns how long it took, in microseconds. */
  async run(): Promise<number> {
    const { world, oracles, options, network, probes } = this.#of;
    const began = world.now;
    this.#of.workload.stop();
    this.#of.nemesis.stop();
    network.rates = {
      delayMs: Math.min(5, network.rates.delayMs),
      straggling: 1,
      loss: 0,
      duplicates: 0,
    };
    oracles.look(this.#of.machines);
    const isChanging = oracles.memberships.inPlay().length > 1 || !this.#isSettled;
    const healed = this.#heal();
    if (healed === null) {
      probes.reached("no quorum left to recover");
      return 0;
    }
    const bound = recoveryOf(options) + (options.faults.has("slowDisk") ? stalledUs : 0) +
      (isChanging ? changeTimeouts * options.electionTimeoutMs * 1000 : 0);
    if (isChanging) probes.reached("liveness phase in the middle of a change");
    const served = new Set<string>();
    void this.#probe(healed, served);
    while (oracles.failure === null && !this.#agree(healed, served)) {
      if (world.now - began > bound) {
        oracles.fail(this.#unrecovered(healed, served, bound));
        break;
      }
      await world.run(world.now + livenessStepUs);
      oracles.look(healed);
    }
    const recovered = world.now;
    const drift = options.faults.has("drift") ? options.drift : 0;
    await checkPunctuality({ world, oracles, probes, drift }, healed);
    return recovered - began;
  }

  /** Those who stay; all others are dead, stopped or cut off from now on. Null where no quorum can be healed. */
  #heal(): Machine[] | null {
    const { machines, network } = this.#of;
    // Who runs in spite of its damage has read all that it rests on.
    const healthy = this.#random.shuffled(
      machines.filter(({ lost, wiped, owes, damaged, replica }) =>
        !lost && !wiped && !owes && (!damaged || replica !== null)
      ),
    );
    const quorums = this.#quorums(new Set(healthy.map(({ id }) => id)));
    const healed: Machine[] = [];
    const lacks = (half: readonly string[]): boolean =>
      2 * healed.filter(({ id }) => half.includes(id)).length <= half.length;
    for (const machine of healthy) {
      if (quorums.some((half) => half.includes(machine.id) && lacks(half))) healed.push(machine);
    }
    if (quorums.some(lacks)) return null;
    if (healed.some(({ damaged }) => damaged)) {
      this.#of.probes.reached("liveness phase with a node whose damage was harmless");
    }
    for (const machine of machines) {
      if (healed.includes(machine)) continue;
      machine.lost = true;
      const how = this.#random.pick(["dead", "paused", "cut off", "deaf"] as const);
      machine.note(() => `is ${how} from now on`);
      if (how === "dead") machine.end("signal");
      else if (how === "paused" && machine.up) {
        machine.paused = true;
        this.#of.probes.reached("liveness phase with a node frozen in a pause");
      }
      for (const { id } of [...healed, { id: clientEnd }]) {
        network.cut(id, machine.id);
        if (how !== "deaf" || id === clientEnd) network.cut(machine.id, id);
      }
    }
    for (const machine of healed) machine.start();
    return healed;
  }

  /** Of which a majority each is needed. A change whose newcomers are not all there is given up, and needs no more. */
  #quorums(there: ReadonlySet<string>): (readonly string[])[] {
    return this.#of.oracles.memberships.inPlay().flatMap((configuration) => {
      const { voters, next } = configuration;
      const goesOn = next?.voters.every((id) => voters.includes(id) || there.has(id)) === true;
      return [...halvesOf(configuration), ...(goesOn ? [next.voters] : [])];
    });
  }

  /** Whether no change is under way, and all who will have to serve know so. */
  get #isSettled(): boolean {
    const { oracles, machines } = this.#of;
    const { configuration } = oracles.memberships.last;
    if (configuration.next !== undefined || configuration.outgoing.length > 0) return false;
    const text = canonical(configuration);
    const members = membersOf(configuration);
    return machines.every(({ id, lost, wiped }) =>
      lost || wiped || !members.includes(id) ||
      canonical(oracles.memberships.of(oracles.log(id), "runs")) === text
    );
  }

  /** Whether a node has to serve: it stays a member, as far as can be told. */
  #isDue({ id, gone }: Machine): boolean {
    if (gone) return false;
    const { configuration } = this.#of.oracles.memberships.last;
    return !this.#isSettled || membersOf(configuration).includes(id);
  }

  /** All have to read before anybody writes: a new leader owes reads without waiting for a write. */
  async #probe(healed: readonly Machine[], served: Set<string>): Promise<void> {
    const { workload } = this.#of;
    await Promise.all(healed.map((each) => this.#insist(each, () => workload.aGet())));
    // It needs them all, so whatever a fault had swallowed has been given up and sent again once it is answered.
    await Promise.all(
      healed.slice(0, 1).map((each) => this.#insist(each, () => workload.aPut())),
    );
    for (let round = 0; round < putRounds; round++) {
      const terms = termsOf(healed);
      const each = healed[round % healed.length];
      if (each === undefined) return;
      const put = (): Promise<void> =>
        this.#insist(each, () => workload.aPut(), () => {
          if (terms === termsOf(healed)) this.#neglected(each, terms);
        });
      await Promise.all([put(), put()]);
      served.add(each.id);
    }
  }

  /** Under one leader, on a sound network, no put is left without an answer, except by what a disk is still slow at. */
  #neglected({ id }: Machine, terms: string): void {
    const { options, oracles } = this.#of;
    if (options.faults.has("slowDisk")) return;
    // Who is a member no more ends, with what it still waits for.
    if (!membersOf(oracles.memberships.last.configuration).includes(id)) return;
    oracles.fail(
      `a put on ${id} was left without an answer, while the terms stayed ${terms}`,
    );
  }

  async #insist(
    machine: Machine,
    request: () => Request,
    onUnknown: () => void = () => {},
  ): Promise<void> {
    const { workload, world } = this.#of;
    while (this.#isDue(machine)) {
      const { type } = await workload.ask(0, machine, request());
      if (type === "written" || type === "read") return;
      if (type === "unknown") onUnknown();
      await new Promise<void>((resolve) => void world.after(20_000, resolve));
    }
  }

  /** Whether all serve and hold the same. */
  #agree(healed: readonly Machine[], served: ReadonlySet<string>): boolean {
    if (served.size < healed.length || !this.#isSettled) return false;
    const states = healed.filter((each) => this.#isDue(each)).map(({ replica }) =>
      replica?.status()
    );
    const [first] = states;
    return first !== undefined &&
      states.every((state) =>
        state?.applied === first.applied && state.lastIndex === first.applied
      );
  }

  #unrecovered(healed: readonly Machine[], served: ReadonlySet<string>, bound: number): string {
    const states = healed.map(({ id, replica, up, waits, gone }) =>
      `${served.has(id) ? "serves" : "does not serve"}: ${
        replica === null
          ? `${id} ${gone ? "gone" : waits ? "waits" : up ? "recovers" : "down"}`
          : statusText(replica.status())
      } applied=${replica?.status().applied}`
    );
    const { index, configuration } = this.#of.oracles.memberships.last;
    return `a healed majority has not recovered within ${bound / second} s:\n  ${
      states.join("\n  ")
    }\n  members as of ${index}: ${canonical(configuration)}`;
  }
}

function termsOf(machines: readonly Machine[]): string {
  return machines.map(({ replica }) => replica?.status().term ?? "-").join();
}
