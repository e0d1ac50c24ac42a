/** Newcomers on a clock and a network of the test's, with disks that can be lost. */
import type { ClusterBirth } from "../../src/adapters/data-directory.ts";
import type { Contact, Hello, HelloReply, SayHello } from "../../src/adapters/peer-hello.ts";
import { PeerUnreachable } from "../../src/errors.ts";
import type { Clock, Logger } from "../../src/ports.ts";
import { Newcomer } from "../../runtimes/newcomer.ts";

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** Time that passes only when it is told to. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#now;
  }
  wallNow(): number {
    return this.#now;
  }
  timer(at: number, callback: () => void): () => void {
    const timer = { at, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }
  async yield(): Promise<void> {}

  /** Lets all happen that is due until then, one thing after the other. */
  async run(until: number): Promise<void> {
    await settled();
    for (;;) {
      let next: Timer = { at: Infinity, callback: () => {} };
      for (const timer of this.#timers) if (timer.at < next.at) next = timer;
      if (next.at > until) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
      await settled();
    }
    this.#now = until;
  }
}

/** All that follows without time passing. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 15; turn++) await Promise.resolve();
}

export interface Told {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A newcomer with default parts, and what it has logged. */
export function newcomer(options: {
  readonly id: string;
  readonly incarnation: string;
  readonly peers: Readonly<Record<string, string>> | null;
  readonly contacts: Readonly<Record<string, string>>;
  readonly sayHello: SayHello;
  readonly clock: Clock;
}): { readonly newcomer: Newcomer; readonly told: readonly Told[] } {
  const told: Told[] = [];
  const log: Logger = (level, message, fields = {}) => void told.push({ level, message, fields });
  const { id, incarnation, ...parts } = options;
  const self = { id, incarnation, url: `http://${id}` };
  return { told, newcomer: new Newcomer({ self, log, ...parts }) };
}

/** A disk, and the process over it. */
interface Machine {
  life: number;
  cluster: ClusterBirth | null;
  /** Null while it is down, or a member. */
  newcomer: Newcomer | null;
  process: number;
  isUp: boolean;
}

/** First members over a network of any delays. Who belongs to which cluster is told to `onEntered`. */
export class FirstMembers {
  readonly clock: ManualClock = new ManualClock();
  readonly machines: Map<string, Machine> = new Map<string, Machine>();
  readonly #peers: Readonly<Record<string, string>>;
  readonly #random: () => number;
  readonly #onEntered: (id: string, life: number, cluster: ClusterBirth) => void;

  constructor(
    ids: readonly string[],
    random: () => number,
    onEntered: (id: string, life: number, cluster: ClusterBirth) => void,
  ) {
    this.#peers = Object.fromEntries(ids.map((id) => [id, `http://${id}`]));
    this.#random = random;
    this.#onEntered = onEntered;
    for (const id of ids) {
      this.machines.set(id, { life: 1, cluster: null, newcomer: null, process: 0, isUp: false });
    }
  }

  start(id: string): void {
    const machine = this.#at(id);
    machine.isUp = true;
    const process = ++machine.process;
    if (machine.cluster !== null) return;
    const { life } = machine;
    const parts = { id, incarnation: `${id}-${life}`, clock: this.clock };
    const peers = { peers: this.#peers, contacts: this.#peers };
    const sayHello: SayHello = (to, hello) => this.#deliver(id, process, to, hello);
    machine.newcomer = newcomer({ ...parts, ...peers, sayHello }).newcomer;
    void machine.newcomer.settle().then((cluster) => {
      if (cluster === null) return;
      // The disk takes its time, too.
      this.#after(20, () => {
        if (machine.process !== process) return;
        machine.cluster = cluster;
        machine.newcomer = null;
        this.#onEntered(id, life, cluster);
      });
    });
  }

  stop(id: string): void {
    const machine = this.#at(id);
    machine.newcomer?.stop();
    machine.newcomer = null;
    machine.isUp = false;
    machine.process++;
  }

  loseDisk(id: string): void {
    this.stop(id);
    const machine = this.#at(id);
    machine.life++;
    machine.cluster = null;
  }

  #deliver(from: string, process: number, to: Contact, hello: Hello): Promise<HelloReply> {
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(new PeerUnreachable("no answer in time", true));
      this.#after(this.#mean(), () => {
        const machine = this.#at(to.id);
        if (!machine.isUp) return fail();
        const reply = this.#answer(machine, hello);
        this.#after(this.#mean(), () => {
          if (this.#at(from).process !== process) return;
          if (this.#random() < 0.05) fail();
          else resolve(reply);
        });
      });
    });
  }

  #answer({ cluster, newcomer }: Machine, hello: Hello): HelloReply {
    if (cluster === null) return newcomer?.answer(hello) ?? { state: "waiting" };
    return { state: "member", ...cluster, configuration: cluster.birth, leader: null };
  }

  /** Mostly short, at times long. */
  #mean(): number {
    return this.#random() < 0.3 ? 1000 : 20;
  }

  #after(meanMs: number, callback: () => void): void {
    this.clock.timer(this.clock.now() + meanMs * this.#random(), callback);
  }

  #at(id: string): Machine {
    const machine = this.machines.get(id);
    if (machine === undefined) throw new Error(`there is no ${id}`);
    return machine;
  }
}
