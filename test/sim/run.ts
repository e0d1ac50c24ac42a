/**
 * One run: a safety phase with faults, in which nothing wrong may happen, and a liveness phase in which a majority is
 * healed, the rest frozen for ever, and the cluster has to elect, serve and converge within bounded simulated time.
 */
import { checkDisks } from "./disk-bounds.ts";
import { History } from "./history.ts";
import { Nemesis } from "./nemesis.ts";
import { questionLeases } from "./leases.ts";
import { Network } from "./network.ts";
import { Machine, type Simulation } from "./node.ts";
import { messageText, statusText } from "../raft/notation.ts";
import type { Request } from "./operation.ts";
import { drawOptions, type Overrides, type SimOptions } from "./options.ts";
import { Oracles } from "./oracles.ts";
import { Probes } from "./probes.ts";
import { Random } from "./random.ts";
import { Trace } from "./trace.ts";
import { clientEnd, Workload } from "./workload.ts";
import { World } from "./world.ts";

const second = 1_000_000;
/** At the default election timeout every node serves again so soon after the last fault, in microseconds (api.md). */
const recoveryUs = 15 * second;
const electionTimeoutDefaultMs = 500;
/** A write that a slow disk had begun may take so much longer, until the process gives up on it. */
const stalledUs = 12 * second;
/** Pairs of puts, which may overtake each other on their way, with nothing behind them that would push them on. */
const putRounds = 24;
/** No request of a peer takes longer. */
const answerUs = 20 * second;
const livenessStepUs = 100_000;

export interface RunResult {
  readonly options: SimOptions;
  /** What did not hold, or null. */
  readonly failure: string | null;
  /** Of everything that happened. */
  readonly hash: string;
  readonly simulatedSeconds: number;
  /** From the last fault's end until every node served and agreed. */
  readonly recoverySeconds: number;
  readonly operations: number;
  readonly events: number;
  readonly faultsInjected: number;
  readonly probes: Probes;
  readonly trace: Trace;
}

class Run implements Simulation {
  readonly options: SimOptions;
  readonly world: World = new World();
  readonly trace: Trace;
  readonly probes: Probes = new Probes();
  readonly oracles: Oracles;
  readonly network: Network;
  readonly machines: Machine[] = [];
  readonly history: History;
  readonly workload: Workload;
  readonly nemesis: Nemesis;
  readonly #random: Random;

  constructor(options: SimOptions) {
    this.options = options;
    const { seed, faults, nodes } = options;
    const { world } = this;
    this.#random = new Random(seed, "run");
    this.trace = new Trace(() => world.now);
    const ids = Array.from({ length: nodes }, (_, i) => `n${i + 1}`);
    this.oracles = new Oracles(ids, this.probes, () => world.now);
    this.network = new Network(
      { world, trace: this.trace, probes: this.probes, random: new Random(seed, "network") },
      {
        delayMs: faults.has("delay") ? options.network.delayMs : 1,
        straggling: faults.has("delay") ? options.network.straggling : 1,
        loss: faults.has("loss") ? options.network.loss : 0,
        duplicates: faults.has("duplicates") ? options.network.duplicates : 0,
      },
    );
    const peers = new Map<string, Machine>();
    for (let number = 1; number <= nodes; number++) {
      const machine = new Machine(this, number, peers);
      peers.set(machine.id, machine);
      this.machines.push(machine);
    }
    const minority = (nodes - 1) >> 1;
    for (const each of this.#random.shuffled(this.machines).slice(0, minority)) {
      each.damageable = true;
    }
    this.history = new History(this.oracles, this.probes, {
      drift: faults.has("drift") ? options.drift : 0,
      keys: options.load.keys,
    });
    this.workload = new Workload(this);
    this.nemesis = new Nemesis(this);
    for (const kind of ["delay", "drift"] as const) {
      if (faults.has(kind)) this.probes.reached(`fault: ${kind}`);
    }
    this.#watch();
  }

  async safety(): Promise<void> {
    for (const machine of this.machines) machine.start();
    this.workload.start();
    this.nemesis.start();
    await this.world.run(this.options.seconds * second);
  }

  /** Returns how long it took, in microseconds. */
  async liveness(): Promise<number> {
    const { world, oracles, options } = this;
    const began = world.now;
    this.workload.stop();
    this.nemesis.stop();
    this.network.rates = {
      delayMs: Math.min(5, this.network.rates.delayMs),
      straggling: 1,
      loss: 0,
      duplicates: 0,
    };
    const majority = this.#healMajority();
    const bound = this.#recoveryUs + (options.faults.has("slowDisk") ? stalledUs : 0);
    const served = new Set<string>();
    void this.#probe(majority, served);
    while (oracles.failure === null && !this.#agree(majority, served)) {
      if (world.now - began > bound) {
        oracles.fail(this.#unrecovered(majority, served, bound));
        break;
      }
      await world.run(world.now + livenessStepUs);
    }
    return world.now - began;
  }

  async end(): Promise<void> {
    if (this.oracles.failure !== null) return;
    await this.#answerAll();
    await checkDisks(this);
    this.history.close();
    for (const { id, replica, machine } of this.machines) {
      if (replica === null || machine === null) continue;
      this.oracles.state(id, replica.status().applied, machine.store, "always");
    }
  }

  get #recoveryUs(): number {
    return recoveryUs * Math.max(1, this.options.electionTimeoutMs / electionTimeoutDefaultMs);
  }

  /** Whatever was asked of a node that still runs has had its answer, or gets it soon: nothing is kept for ever. */
  async #answerAll(): Promise<void> {
    const { machines, network, world, oracles } = this;
    const owing = (): string[] =>
      machines.filter(({ id, lost }) => !lost && network.owing(answerUs).has(id)).map(({ id }) =>
        id
      );
    const until = world.now + recoveryUs;
    while (owing().length > 0 && world.now < until) await world.run(world.now + livenessStepUs);
    const left = owing();
    if (left.length > 0) {
      oracles.fail(`${left.join()} left peers without an answer for ${answerUs / second} s`);
    }
  }

  #watch(): void {
    const { world, trace, network, oracles } = this;
    world.ended = () => oracles.failure !== null;
    world.onEvent = ({ at, owner, sequence }) => {
      trace.mix(at);
      trace.mix(sequence * 16 + (owner?.number ?? 15));
    };
    oracles.onLeader = (term) => questionLeases(this, term);
    for (const machine of this.machines) {
      machine.onAge = (revision, stalenessMs) => {
        const wrong = this.history.wrongAge(revision, stalenessMs, world.now);
        if (wrong !== null) oracles.fail(`${machine.id} ${wrong}`);
      };
    }
    // A cluster that is healed right after a loss has to recover in its time.
    network.onWait = (from, to, timeoutMs) => {
      if (timeoutMs * 1000 <= this.#recoveryUs) return;
      oracles.fail(`${from} waits ${timeoutMs} ms for a reply of ${to} that may be lost`);
    };
    network.onArrive = (message) => {
      if (trace.print !== null) trace.note(message.to, () => `gets ${messageText(message)}`);
    };
    network.onSend = (message) => {
      oracles.sent(message);
      // Heartbeats would leave no room for anything else.
      if (trace.print !== null || !message.type.startsWith("heartbeat")) {
        trace.note(message.from, () => messageText(message));
      }
    };
  }

  /** Those who stay; all others are dead, stopped or cut off from now on. */
  #healMajority(): Machine[] {
    const { machines, network } = this;
    // Who runs in spite of its damage has read all that it rests on.
    const healthy = machines.filter(({ lost, owes, damaged, replica }) =>
      !lost && !owes && (!damaged || replica !== null)
    );
    const majority = this.#random.shuffled(healthy).slice(0, (machines.length >> 1) + 1);
    if (majority.some(({ damaged }) => damaged)) {
      this.probes.reached("liveness phase with a node whose damage was harmless");
    }
    for (const machine of machines) {
      if (majority.includes(machine)) continue;
      machine.lost = true;
      const how = this.#random.pick(["dead", "paused", "cut off", "deaf"] as const);
      machine.note(() => `is ${how} from now on`);
      if (how === "dead") machine.end("signal");
      else if (how === "paused" && machine.up) {
        machine.paused = true;
        this.probes.reached("liveness phase with a node frozen in a pause");
      }
      for (const { id } of [...majority, { id: clientEnd }]) {
        network.cut(id, machine.id);
        if (how !== "deaf" || id === clientEnd) network.cut(machine.id, id);
      }
    }
    for (const machine of majority) machine.start();
    return majority;
  }

  /** All have to read before anybody writes: a new leader owes reads without waiting for a write. */
  async #probe(majority: readonly Machine[], served: Set<string>): Promise<void> {
    await Promise.all(majority.map((each) => this.#insist(each, () => this.workload.aGet())));
    // It needs them all, so whatever a fault had swallowed has been given up and sent again once it is answered.
    await Promise.all(
      majority.slice(0, 1).map((each) => this.#insist(each, () => this.workload.aPut())),
    );
    for (let round = 0; round < putRounds; round++) {
      const terms = termsOf(majority);
      const each = majority[round % majority.length];
      if (each === undefined) return;
      const put = (): Promise<void> =>
        this.#insist(each, () => this.workload.aPut(), () => {
          if (terms === termsOf(majority)) this.#neglected(each, terms);
        });
      await Promise.all([put(), put()]);
      served.add(each.id);
    }
  }

  /** Under one leader, on a sound network, no put is left without an answer, except by what a disk is still slow at. */
  #neglected({ id }: Machine, terms: string): void {
    if (this.options.faults.has("slowDisk")) return;
    this.oracles.fail(`a put on ${id} was left without an answer, while the terms stayed ${terms}`);
  }

  async #insist(
    machine: Machine,
    request: () => Request,
    onUnknown: () => void = () => {},
  ): Promise<void> {
    for (;;) {
      const { type } = await this.workload.ask(0, machine, request());
      if (type === "written" || type === "read") return;
      if (type === "unknown") onUnknown();
      await new Promise<void>((resolve) => void this.world.after(20_000, resolve));
    }
  }

  /** Whether all serve and hold the same. */
  #agree(majority: readonly Machine[], served: ReadonlySet<string>): boolean {
    if (served.size < majority.length) return false;
    const states = majority.map(({ replica }) => replica?.status());
    const [first] = states;
    return first !== undefined &&
      states.every((state) =>
        state?.applied === first.applied && state.lastIndex === first.applied
      );
  }

  #unrecovered(majority: readonly Machine[], served: ReadonlySet<string>, bound: number): string {
    const states = majority.map(({ id, replica, up }) =>
      `${served.has(id) ? "serves" : "does not serve"}: ${
        replica === null ? `${id} ${up ? "recovers" : "down"}` : statusText(replica.status())
      } applied=${replica?.status().applied}`
    );
    return `a healed majority has not recovered within ${bound / second} s:\n  ${
      states.join("\n  ")
    }`;
  }
}

function termsOf(machines: readonly Machine[]): string {
  return machines.map(({ replica }) => replica?.status().term ?? "-").join();
}

/** Runs a seed. `onLine` gets the trace as it is written. */
export async function simulate(
  seed: bigint,
  overrides: Overrides = {},
  onLine: ((line: string) => void) | null = null,
): Promise<RunResult> {
  const options = drawOptions(seed, overrides);
  const run = new Run(options);
  run.trace.print = onLine;
  let recoveryUs = 0;
  try {
    await run.safety();
    if (run.oracles.failure === null) recoveryUs = await run.liveness();
    await run.end();
  } catch (error) {
    run.oracles.fail(`the simulator threw ${error instanceof Error ? error.stack : String(error)}`);
  }
  return {
    options,
    failure: run.oracles.failure,
    hash: run.trace.hash,
    simulatedSeconds: run.world.now / second,
    recoverySeconds: recoveryUs / second,
    operations: run.history.operations.length,
    events: run.world.happened,
    faultsInjected: run.nemesis.injected,
    probes: run.probes,
    trace: run.trace,
  };
}
