/**
 * Whoever runs the cluster: asks for other members, of any node, also while a change goes on, twice, too soon, or for
 * what makes no sense; starts newcomers, at times late or never, and ends those who leave before they hear of it.
 */
import { ChangeRefused, NotApplied, OutcomeUnknown } from "../../src/errors.ts";
import type { MemberRequest } from "../../src/ports.ts";
import { expectAnswer } from "./deadlines.ts";
import { goalOf, membersOf, wanted } from "./member-requests.ts";
import type { Machine } from "./node.ts";
import type { SimOptions } from "./options.ts";
import type { Oracles } from "./oracles.ts";
import type { Probes } from "./probes.ts";
import { Random } from "./random.ts";
import type { World } from "./world.ts";

export interface OperatorParts {
  readonly options: SimOptions;
  readonly world: World;
  readonly oracles: Oracles;
  readonly probes: Probes;
  readonly machines: readonly Machine[];
  /** A new machine with an empty disk, and the id that nobody had before. */
  enter(): Machine;
  newId(): string;
  /** Cuts directions for a time, in microseconds. */
  readonly cutAll: (pairs: readonly (readonly [string, string])[], us: number) => boolean;
}

const second = 1_000_000;
/** Voters that a request asks for. */
const votersMax = 7;
/** Machines that are there at a time, beyond those of the beginning, and that there ever are. */
const moreMachinesMax = 5;
const machinesMax = 30;

/** Each as often as it stands here. */
const kinds = [
  "voter",
  "voter",
  "learner",
  "promote",
  "remove",
  "remove",
  "replace",
  "replace",
  "set",
] as const;

export class Operator {
  readonly #parts: OperatorParts;
  readonly #random: Random;
  readonly #everyMs: number;
  /** Requests without an answer yet, and the process that was asked. */
  readonly #open = new Set<{ readonly machine: Machine; readonly life: number }>();
  #last: MemberRequest | null = null;
  #created = 0;
  #stopped = false;

  constructor(parts: OperatorParts) {
    this.#parts = parts;
    this.#random = new Random(parts.options.seed, "operator");
    this.#everyMs = this.#random.pick([300, 1000, 3000, 8000]);
  }

  start(): void {
    this.#wait();
  }

  /** Nothing is asked for any more, and whoever was asked and hasn't answered forgets it. */
  stop(): void {
    this.#stopped = true;
    for (const { machine, life } of this.#open) if (machine.life === life) machine.end("signal");
  }

  /** Whether its disk is lost, or may be. */
  isUnreliable(id: string): boolean {
    const machine = this.#parts.machines.find((each) => each.id === id);
    return machine === undefined || machine.wiped || machine.lost || machine.damageable;
  }

  #wait(): void {
    const us = Math.round(this.#random.exponential(this.#everyMs) * 1000);
    this.#parts.world.after(us, () => {
      if (this.#stopped) return;
      this.#act();
      this.#wait();
    });
  }

  #act(): void {
    const random = this.#random;
    const running = this.#parts.machines.filter(({ replica }) => replica !== null);
    if (running.length === 0) return;
    this.#parts.oracles.look(running);
    if (random.chance(0.1)) return this.#divide(running);
    const machine = random.pick(running);
    const request = random.chance(0.05) ? null : this.#draw();
    if (request === null) return this.#senseless(machine);
    this.#ask(machine, request);
    this.#last = request;
    if (random.chance(0.2)) this.#ask(random.pick(running), request);
    if (random.chance(0.25)) this.#endLeaving(request);
  }

  /** A leader that is cut off with some of the voters is asked to go on with these alone. */
  #divide(running: readonly Machine[]): void {
    const random = this.#random;
    const leader = running.find(({ replica }) => replica?.status().role === "leader");
    const { voters } = this.#parts.oracles.memberships.last.configuration;
    if (leader === undefined || voters.length < 2) return;
    const order = random.shuffled(voters.filter((id) => id !== leader.id));
    const count = random.below(Math.ceil(voters.length / 2));
    const inner = [leader.id, ...order.slice(0, count)];
    if (!this.#isBearable(inner)) return;
    const outer = this.#parts.machines.map(({ id }) => id).filter((id) => !inner.includes(id));
    const pairs = inner.flatMap((a) => outer.flatMap((b) => [[a, b], [b, a]] as const));
    this.#parts.probes.reached("part of a cluster told to go on alone");
    this.#parts.cutAll(pairs, Math.round(random.scaled(100_000, 10 * second)));
    const later = random.below(this.#parts.options.electionTimeoutMs * 1000);
    this.#parts.world.after(later, () => {
      if (!this.#stopped) this.#ask(leader, named(inner, []));
    });
  }

  /** What nobody can have. */
  #senseless(machine: Machine): void {
    const { removed } = this.#parts.oracles.memberships;
    const [gone] = this.#random.shuffled([...removed]);
    if (gone !== undefined && this.#random.chance(0.5)) {
      this.#parts.probes.reached("removed id asked for again");
      return this.#ask(machine, { type: "add", id: gone, url: urlOf(gone), voter: true });
    }
    const request: MemberRequest = this.#random.chance(0.5)
      ? { type: "set", voters: [], learners: [] }
      : { type: "remove", id: "nobody" };
    this.#ask(machine, request, "mustRefuse");
  }

  /** One that quorums would survive, or null. */
  #draw(): MemberRequest | null {
    const random = this.#random;
    const { configuration } = this.#parts.oracles.memberships.last;
    if (this.#last !== null && random.chance(0.15)) return this.#last;
    if (configuration.next !== undefined && random.chance(0.4)) {
      const coming = goalOf(configuration).voters.filter((id) =>
        !configuration.voters.includes(id)
      );
      if (coming.length > 0) return { type: "remove", id: random.pick(coming) };
    }
    const goal = goalOf(configuration);
    const request = this.#drawn(goal.voters, goal.learners);
    return request !== null && this.#isBearable(wanted(goal, request).voters) ? request : null;
  }

  #drawn(voters: readonly string[], learners: readonly string[]): MemberRequest | null {
    const random = this.#random;
    const kind = random.pick(kinds);
    switch (kind) {
      case "voter":
      case "learner": {
        const id = this.#newcomer();
        return id === null ? null : { type: "add", id, url: urlOf(id), voter: kind === "voter" };
      }
      case "promote": {
        const [id] = random.shuffled(learners);
        return id === undefined ? null : { type: "add", id, url: urlOf(id), voter: true };
      }
      case "remove":
        return { type: "remove", id: this.#leaving([...voters, ...learners]) };
      case "replace": {
        const id = this.#newcomer();
        if (id === null) return null;
        const replaces = this.#leaving(random.chance(0.8) ? voters : [...voters, ...learners]);
        return { type: "replace", id, url: urlOf(id), replaces };
      }
      case "set":
        return this.#set(voters, learners);
    }
  }

  /** Some of those there are, and some more, in any roles. */
  #set(voters: readonly string[], learners: readonly string[]): MemberRequest {
    const random = this.#random;
    const newcomers = Array.from({ length: random.below(4) }, () => this.#newcomer());
    const ids = new Set([...voters, ...learners, ...newcomers].filter((id) => id !== null));
    const order = random.shuffled([...ids]);
    const count = random.whole(1, Math.min(votersMax, order.length));
    return named(order.slice(0, count), order.slice(count, count + random.below(3)));
  }

  /** Preferably one that can't come back. */
  #leaving(ids: readonly string[]): string {
    const wiped = ids.filter((id) =>
      this.#parts.machines.some((each) => each.id === id && (each.wiped || each.lost))
    );
    return this.#random.pick(wiped.length > 0 && this.#random.chance(0.7) ? wiped : ids);
  }

  /** One that is there and no member, or that is to come; null where there are enough. */
  #newcomer(): string | null {
    const { machines, oracles, options } = this.#parts;
    const random = this.#random;
    const { memberships } = oracles;
    const taken = new Set(memberships.inPlay().flatMap(membersOf));
    const spare = machines.filter(({ id, wiped, lost }) =>
      !taken.has(id) && !memberships.removed.has(id) && !wiped && !lost
    );
    if (spare.length > 0 && random.chance(0.5)) return random.pick(spare).id;
    if (random.chance(0.1)) {
      // Nobody ever answers there.
      return this.#parts.newId();
    }
    if (machines.length >= options.nodes + moreMachinesMax || this.#created >= machinesMax) {
      return null;
    }
    this.#created++;
    const machine = this.#parts.enter();
    machine.damageable = random.chance(0.25);
    machine.startLater(random.chance(0.7) ? random.below(200_000) : random.below(10 * second));
    return machine.id;
  }

  #isBearable(voters: readonly string[]): boolean {
    const unreliable = voters.filter((id) => this.isUnreliable(id));
    return voters.length <= votersMax && 2 * unreliable.length < Math.max(1, voters.length);
  }

  /** They come back when they are members no more, and don't know it. */
  #endLeaving(request: MemberRequest): void {
    const { oracles, machines, probes } = this.#parts;
    const goal = goalOf(oracles.memberships.last.configuration);
    const { voters, learners } = wanted(goal, request);
    for (const machine of machines) {
      const { id } = machine;
      const leaves = [...goal.voters, ...goal.learners].includes(id) &&
        ![...voters, ...learners].includes(id);
      if (!leaves || !machine.up) continue;
      probes.reached("node ended before it heard that it is removed");
      machine.end("signal");
      machine.startLater(this.#random.whole(second, 10 * second));
    }
  }

  #ask(machine: Machine, request: MemberRequest, expected: "any" | "mustRefuse" = "any"): void {
    const { oracles, probes } = this.#parts;
    const { replica, life } = machine;
    if (replica === null) return;
    const { memberships } = oracles;
    const timeoutMs = this.#random.pick([200, 1000, 3000, 10_000]);
    const text = JSON.stringify(request);
    probes.reached("fault: members");
    if (memberships.last.configuration.next !== undefined) {
      probes.reached("change asked for during a change");
    }
    machine.note(() => `is asked for ${text}`);
    const asked = memberships.asked(request);
    const open = { machine, life };
    this.#open.add(open);
    const ended = (how: string, act: () => void): void => {
      this.#open.delete(open);
      if (machine.life !== life) return void (asked.outcome = "unknown");
      machine.note(() => `answers ${text}: ${how}`);
      act();
    };
    replica.changeMembers(request, timeoutMs).then(
      (view) =>
        ended(view.changing ? "begun" : "over", () => {
          probes.reached(view.changing ? "change begun" : "change over");
          memberships.answered(asked, view);
          if (expected === "mustRefuse") oracles.fail(`${machine.id} does not refuse ${text}`);
        }),
      (error: unknown) =>
        ended(String(error), () => {
          if (error instanceof OutcomeUnknown) {
            asked.outcome = "unknown";
            return probes.reached("change of unknown fate");
          }
          if (error instanceof ChangeRefused) probes.reached(`change refused: ${error.code}`);
          else if (error instanceof NotApplied) probes.reached("change not applied");
          else oracles.fail(`${machine.id} answers ${text} with ${String(error)}`);
          memberships.refused(asked, String(error));
        }),
    );
    expectAnswer(machine, timeoutMs, () => !this.#open.has(open), () => {
      oracles.fail(`${machine.id} lets ${text} wait for ever`);
    });
  }
}

function named(voters: readonly string[], learners: readonly string[]): MemberRequest {
  const spec = (id: string) => ({ id, url: urlOf(id) });
  return { type: "set", voters: voters.map(spec), learners: learners.map(spec) };
}

/** Where a node is. */
export function urlOf(id: string): string {
  return `http://${id}.test:4001`;
}
