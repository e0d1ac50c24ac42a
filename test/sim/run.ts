/**
 * One run: a safety phase with faults, in which nothing wrong may happen, and a liveness phase in which a majority is
 * healed, and has to recover.
 */
import type { Configuration } from "../../src/raft/types.ts";
import { checkDisks } from "./disk-bounds.ts";
import { History } from "./history.ts";
import { Nemesis } from "./nemesis.ts";
import { startHellos } from "./hello.ts";
import { questionLeases } from "./leases.ts";
import { Liveness, recoveryOf } from "./liveness.ts";
import { Network } from "./network.ts";
import { Machine } from "./node.ts";
import type { Simulation } from "./simulation.ts";
import { messageText } from "../raft/notation.ts";
import { drawOptions, type Overrides, type SimOptions } from "./options.ts";
import { Oracles } from "./oracles.ts";
import { Probes } from "./probes.ts";
import { Random } from "./random.ts";
import { Releases } from "./releases.ts";
import { birthOf } from "./replica-options.ts";
import { Trace } from "./trace.ts";
import { Watchers } from "./watchers.ts";
import { Workload } from "./workload.ts";
import { World } from "./world.ts";

const second = 1_000_000;
/** No request of a peer takes longer. */
const answerUs = 20 * second;
const answeredWithinUs = 15 * second;
const stepUs = 100_000;

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
  readonly birth: Configuration;
  readonly releases: Map<string, Releases> = new Map();
  /** Those that are there; newcomers join them, and who has left goes. */
  readonly machines: Machine[] = [];
  readonly history: History;
  readonly workload: Workload;
  readonly watchers: Watchers;
  readonly nemesis: Nemesis;
  readonly #random: Random;
  readonly #peers = new Map<string, Machine>();
  #numbers = 0;

  constructor(options: SimOptions) {
    this.options = options;
    const { seed, faults, nodes } = options;
    const { world } = this;
    this.#random = new Random(seed, "run");
    this.trace = new Trace(() => world.now);
    this.birth = birthOf(options);
    const drift = faults.has("drift") ? options.drift : 0;
    this.oracles = new Oracles(this.birth, this.probes, () => world.now, drift);
    this.network = new Network(
      { world, trace: this.trace, probes: this.probes, random: new Random(seed, "network") },
      {
        delayMs: faults.has("delay") ? options.network.delayMs : 1,
        straggling: faults.has("delay") ? options.network.straggling : 1,
        loss: faults.has("loss") ? options.network.loss : 0,
        duplicates: faults.has("duplicates") ? options.network.duplicates : 0,
      },
    );
    while (this.#numbers < nodes) this.enter();
    const minority = (nodes - 1) >> 1;
    for (const each of this.#random.shuffled(this.machines).slice(0, minority)) {
      each.damageable = true;
    }
    this.history = new History(this.oracles, this.probes, { drift });
    this.workload = new Workload(this);
    this.watchers = new Watchers(this);
    this.nemesis = new Nemesis(this);
    for (const kind of ["delay", "drift"] as const) {
      if (faults.has(kind)) this.probes.reached(`fault: ${kind}`);
    }
    this.#watch();
  }

  /** An id that nobody has had. */
  newId(): string {
    return `n${++this.#numbers}`;
  }

  /** One more machine, with an empty disk. */
  enter(): Machine {
    const id = this.newId();
    this.oracles.entered(id);
    if (this.options.faults.has("upgrades")) {
      this.releases.set(id, new Releases(this, new Random(this.options.seed, `release ${id}`)));
    }
    const machine = new Machine(this, this.#numbers, this.#peers);
    this.#peers.set(id, machine);
    this.machines.push(machine);
    machine.onGone = () => {
      this.machines.splice(this.machines.indexOf(machine), 1);
    };
    machine.onAge = (revision, stalenessMs) => {
      const wrong = this.history.wrongAge(revision, stalenessMs, this.world.now);
      if (wrong !== null) this.oracles.fail(`${id} ${wrong}`);
    };
    return machine;
  }

  async safety(): Promise<void> {
    for (const machine of this.machines) machine.start();
    if (this.options.faults.has("members")) startHellos(this);
    this.workload.start();
    this.watchers.start();
    this.nemesis.start();
    await this.world.run(this.options.seconds * second);
  }

  /** Returns how long it took, in microseconds. */
  liveness(): Promise<number> {
    return new Liveness(this, this.#random).run();
  }

  async end(): Promise<void> {
    if (this.oracles.failure !== null) return;
    await this.#answerAll();
    await checkDisks(this);
    this.history.close();
    this.oracles.memberships.close();
    for (const { id, replica, machine } of this.machines) {
      if (replica === null || machine === null) continue;
      this.oracles.state(id, replica.status().applied, machine, "always");
    }
  }

  /** Whatever was asked of a node that still runs has had its answer, or gets it soon: nothing is kept for ever. */
  async #answerAll(): Promise<void> {
    const { machines, network, world, oracles } = this;
    const owing = (): string[] =>
      machines.filter(({ id, lost }) => !lost && network.owing(answerUs).has(id)).map(({ id }) =>
        id
      );
    const until = world.now + answeredWithinUs;
    while (owing().length > 0 && world.now < until) await world.run(world.now + stepUs);
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
    // A cluster that is healed right after a loss has to recover in its time.
    network.onWait = (from, to, timeoutMs) => {
      if (timeoutMs * 1000 <= recoveryOf(this.options)) return;
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
