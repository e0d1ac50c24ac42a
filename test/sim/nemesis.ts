/** Faults that begin at a point of time and end at another. Each kind has a stream of its own: without one, the others stay. */
import type { Network } from "./network.ts";
import { beginDiskFault, type DiskFaultKind, diskFaultKinds, endDiskFault } from "./disk-faults.ts";
import type { Machine } from "./node.ts";
import { Operator, type OperatorParts } from "./operator.ts";
import { type FaultKind, faultKinds } from "./options.ts";
import { Random } from "./random.ts";
import { usurp, type UsurperMeans } from "./usurpers.ts";
import { clientEnd } from "./workload.ts";

export interface NemesisParts extends Omit<OperatorParts, "cutAll"> {
  readonly network: Network;
}

const second = 1_000_000;
/** How often a fault is aimed at the leader. */
const leaderShare = 0.4;

export class Nemesis {
  /** Faults that began. */
  injected = 0;
  readonly #parts: NemesisParts;
  readonly #mends = new Set<() => void>();
  readonly #means: UsurperMeans = {
    cutAll: (pairs, us) => this.#cutAll(pairs, us),
    transfer: (from, to, random) => this.#transfer(from, to, random),
    suspend: (machine, us, random) => void this.#pause(machine, us, "clockStands", random),
    later: (us, act) => this.#later(us, act),
  };
  readonly #operator: Operator;
  #stopped = false;

  constructor(parts: NemesisParts) {
    this.#parts = parts;
    const { options, world, oracles, probes, machines } = parts;
    this.#operator = new Operator({
      options,
      world,
      oracles,
      probes,
      machines,
      enter: () => parts.enter(),
      newId: () => parts.newId(),
      cutAll: (pairs, us) => this.#cutAll(pairs, us),
    });
  }

  start(): void {
    const { options } = this.#parts;
    for (const kind of faultKinds) {
      if (options.faults.has(kind)) this.#wait(kind, new Random(options.seed, `nemesis ${kind}`));
    }
    if (options.faults.has("regicide")) this.#huntLeaders();
    if (options.faults.has("members")) this.#operator.start();
  }

  /** No fault begins any more, and all that can be mended is. */
  stop(): void {
    this.#stopped = true;
    for (const mend of [...this.#mends]) mend();
    this.#parts.network.unclog();
    this.#parts.network.isCalm = true;
    this.#operator.stop();
    for (const machine of this.#parts.machines) {
      machine.settleRelease();
      for (const kind of diskFaultKinds) endDiskFault(kind, machine);
      machine.disk.crashAfterCalls = Infinity;
    }
  }

  #befell(kind: FaultKind): void {
    this.injected++;
    this.#parts.probes.reached(`fault: ${kind}`);
  }

  /** Unless the faults have ended by then. */
  #later(us: number, act: () => void): void {
    this.#parts.world.after(us, () => {
      if (!this.#stopped) act();
    });
  }

  #wait(kind: FaultKind, random: Random): void {
    const { options } = this.#parts;
    const mean = options.faultEveryMs * Math.max(2, options.faults.size / 4);
    this.#later(Math.round(random.exponential(mean) * 1000), () => {
      if (this.#begin(kind, random)) this.#befell(kind);
      this.#wait(kind, random);
    });
  }

  /** New leaders fall before they have told many: what they wrote alone lies about on their disks. */
  #huntLeaders(): void {
    const { options, machines } = this.#parts;
    const random = new Random(options.seed, "nemesis regicide");
    const share = random.pick([0.1, 0.3, 0.6]);
    const laterUs = random.pick([0, 0, 1000, 20_000, 200_000]);
    this.#parts.oracles.onElected = (id) => {
      const machine = machines.find((each) => each.id === id);
      if (machine === undefined || this.#stopped || !random.chance(share)) return;
      this.#befell("regicide");
      this.#later(random.below(laterUs + 1), () => this.#fell(machine, random));
    };
  }

  #fellLeader(random: Random): boolean {
    const leader = this.#parts.machines.find(({ replica }) => replica?.status().role === "leader");
    if (leader === undefined || leader.paused) return false;
    this.#fell(leader, random);
    return true;
  }

  #fell(machine: Machine, random: Random): void {
    const us = Math.round(random.between(1, 8) * this.#parts.options.electionTimeoutMs * 1000);
    const others = this.#parts.machines.filter((each) => each !== machine);
    switch (random.pick(["power", "cut", "cut", "pause"])) {
      case "power":
        machine.end("power");
        return machine.startLater(us);
      case "pause":
        return void this.#pause(machine, us, "clockRuns", random);
      default: {
        const pairs = others.flatMap(({ id }) => [[id, machine.id], [machine.id, id]] as const);
        this.#cutAll(pairs, us);
      }
    }
  }

  /** False for what is no event, but a property of the whole run. */
  #begin(kind: FaultKind, random: Random): boolean {
    const { machines } = this.#parts;
    const machine = this.#victim(random);
    const electionUs = this.#parts.options.electionTimeoutMs * 1000;
    switch (kind) {
      case "clogs":
        return this.#clog(random);
      case "partitions":
        return this.#partition(random);
      case "oneWay":
        return this.#oneWay(random);
      case "clientCuts":
        return this.#cutAll([[clientEnd, machine.id], [machine.id, clientEnd]], duration(random));
      case "powerCuts":
        return this.#end(random, "power");
      case "kills":
        return this.#end(random, "signal");
      case "crashAtCall":
        machine.disk.crashAfterCalls = random.below(30);
        return true;
      case "pauses":
        return this.#pause(machine, random.whole(1, 10 * electionUs), "clockRuns", random);
      case "suspends":
        return this.#pause(machine, random.scaled(5000, 10 * electionUs), "clockStands", random);
      case "regicide":
        return this.#fellLeader(random);
      case "usurpers":
        return usurp({ ...this.#parts, ...this.#means }, random);
      case "wallSteps":
        machine.clock.step(random.between(-5000, 5000));
        return true;
      case "transfers":
        return this.#transfer(machine, random.pick([...machines, null]), random);
      case "stops":
      case "upgrades":
        return this.#stop(machine, random);
      case "slowDisk":
      case "syncFailures":
      case "fullDisk":
      case "readErrors":
      case "snapshotFlips":
      case "misdirectedWrites":
        return this.#disk(kind, machine, random);
      case "damage":
        return this.#damage(random);
      case "loss":
      case "duplicates":
      case "delay":
      case "drift":
      case "otherSettings":
      case "members":
        return false;
      case "wipes":
        return this.#wipe(random);
    }
  }

  /** Whoever it may be, and the leader more often than that: there is most to break. */
  #victim(random: Random): Machine {
    const { machines } = this.#parts;
    const any = random.pick(machines);
    if (!random.chance(leaderShare)) return any;
    return machines.find((machine) => machine.replica?.status().role === "leader") ?? any;
  }

  /** All machines in random order, the victim first. */
  #order(random: Random): Machine[] {
    const victim = this.#victim(random);
    const others = random.shuffled(this.#parts.machines.filter((machine) => machine !== victim));
    return [victim, ...others];
  }

  #clog(random: Random): boolean {
    const { network, world } = this.#parts;
    const [a, b] = random.shuffled(this.#order(random).slice(0, 2)).map(({ id }) => id);
    if (a === undefined || b === undefined) return false;
    network.clog(a, b, world.now + random.whole(100_000, 5 * second));
    return true;
  }

  /** One node, a minority, halves, or one pair that both still see the others. */
  #partition(random: Random): boolean {
    const { probes } = this.#parts;
    const order = this.#order(random).map(({ id }) => id);
    const [a, b] = order;
    if (a === undefined || b === undefined) return false;
    const size = random.whole(1, Math.max(1, order.length >> 1));
    if (random.chance(0.3)) return this.#cutAll([[a, b], [b, a]], duration(random));
    const inner = order.slice(0, size);
    if (2 * size >= order.length) probes.reached("partition without a majority");
    const pairs = inner.flatMap((one) =>
      order.slice(size).flatMap((other) => [[one, other], [other, one]] as const)
    );
    return this.#cutAll(pairs, duration(random));
  }

  #oneWay(random: Random): boolean {
    const order = this.#order(random).map(({ id }) => id);
    const [first] = order;
    if (first === undefined || order.length < 2) return false;
    this.#parts.probes.reached("partition of one direction");
    const others = order.slice(1, 1 + random.whole(1, order.length - 1));
    const isOut = random.chance(0.5);
    const pairs = others.map((other) => isOut ? [first, other] as const : [other, first] as const);
    return this.#cutAll(pairs, duration(random));
  }

  #cutAll(pairs: readonly (readonly [string, string])[], us: number): boolean {
    const mends = pairs.map(([from, to]) => this.#parts.network.cut(from, to));
    this.#parts.network.trace.note(
      "network",
      () => `cuts ${pairs.map((pair) => pair.join("→")).join(" ")}`,
    );
    this.#until(us, () => {
      for (const mend of mends) mend();
      this.#parts.network.trace.note(
        "network",
        () => `mends ${pairs.map((pair) => pair.join("→")).join(" ")}`,
      );
    });
    return true;
  }

  /** One node's process, some, or all. At times the next one is hit while it recovers. */
  #end(random: Random, by: "power" | "signal"): boolean {
    const { machines, probes } = this.#parts;
    const count = random.pick([1, 1, 1, 2, machines.length]);
    for (const machine of this.#order(random).slice(0, count)) {
      machine.end(by);
      const back = random.pick([1000, 50_000, 500_000, 3 * second]);
      machine.startLater(back);
      if (random.chance(0.3)) {
        this.#later(back + 1, () => machine.disk.crashAfterCalls = random.below(60));
      }
    }
    if (machines.every((machine) => !machine.up)) probes.reached("all nodes down at once");
    return true;
  }

  /** As an operator does it: asks, waits, and in the end kills. */
  #stop(machine: Machine, random: Random): boolean {
    if (!machine.up || machine.paused) return false;
    const { life } = machine;
    const back = random.below(second);
    const startAgain = (): void => machine.startLater(back);
    void machine.stop().then(startAgain, startAgain);
    this.#parts.world.after(10 * second, () => {
      if (machine.life !== life) return;
      machine.end("signal");
      machine.startLater(back);
    });
    return true;
  }

  #pause(
    machine: Machine,
    us: number,
    clock: "clockRuns" | "clockStands",
    random: Random,
  ): boolean {
    const { world, probes, options } = this.#parts;
    if (machine.paused || !machine.up) return false;
    const { life } = machine;
    machine.paused = true;
    machine.note(() => `is paused for ${us} µs; ${clock}`);
    const since = world.now;
    this.#until(us, () => {
      // Whoever was started since has seen the clock go on, and no monotonic clock goes back.
      if (machine.life !== life) return;
      if (clock === "clockStands") machine.clock.slept(world.now - since);
      if (clock === "clockStands") probes.reached("machine slept, its clock stood still");
      if (us > 2000 * options.electionTimeoutMs) {
        probes.reached("process paused beyond an election");
      }
      machine.note(() => "resumes");
      world.resume(machine, (events) => random.shuffled(events));
    });
    return true;
  }

  /** At times the old leader is cut off right when its target is told to campaign. */
  #transfer(machine: Machine, target: Machine | null, random: Random): boolean {
    const { probes, options, machines } = this.#parts;
    const { replica } = machine;
    if (replica === null || machine.paused) return false;
    machine.note(() => `is asked to hand over to ${target?.id ?? "anybody"}`);
    replica.transferLeadership(target?.id ?? null, 4 * options.electionTimeoutMs).then(
      () => probes.reached("leadership transferred"),
      () => probes.reached("transfer failed"),
    );
    if (!random.chance(0.5)) return true;
    const inward = machines.filter((each) => each !== machine).map(({ id }) =>
      [id, machine.id] as const
    );
    this.#later(random.whole(1, 5000), () => {
      this.#cutAll(inward, 2000 * options.electionTimeoutMs);
    });
    return true;
  }

  #disk(kind: DiskFaultKind, machine: Machine, random: Random): boolean {
    const us = duration(random);
    if (!beginDiskFault(kind, machine, random)) return false;
    machine.note(() => `${kind} for ${us} µs`);
    this.#until(us, () => endDiskFault(kind, machine));
    return true;
  }

  #damage(random: Random): boolean {
    const victims = this.#parts.machines.filter((machine) =>
      machine.damageable && !machine.lost && !machine.wiped
    );
    if (victims.length === 0) return false;
    const machine = random.pick(victims);
    machine.end(random.pick(["power", "signal"]));
    const times = random.pick([1, 1, 3]);
    for (let i = 0; i < times; i++) machine.damage(random);
    machine.startLater(random.whole(1000, second));
    return true;
  }

  /** A voter's, where others are left to come to decisions, and to let a successor in. */
  #wipe(random: Random): boolean {
    const { machines, options, oracles } = this.#parts;
    if (!options.faults.has("members")) return false;
    const { memberships } = oracles;
    const { voters } = memberships.last.configuration;
    const unreliable = (id: string): boolean => this.#operator.isUnreliable(id);
    const victims = machines.filter(({ id, lost, wiped }) =>
      !lost && !wiped && voters.includes(id) && memberships.maySpare(id, unreliable)
    );
    if (victims.length === 0) return false;
    const machine = random.pick(victims);
    machine.wipe();
    machine.startLater(random.whole(1000, second));
    return true;
  }

  #until(us: number, mend: () => void): void {
    const once = (): void => {
      if (this.#mends.delete(once)) mend();
    };
    this.#mends.add(once);
    this.#parts.world.after(us, once);
  }
}

/** Mostly short, at times long, in microseconds. */
function duration(random: Random): number {
  return Math.round(random.scaled(50_000, 15 * second));
}
