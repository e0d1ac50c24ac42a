/** Seeded random schedules over a {@link Cluster}: what may go wrong goes wrong, in an order that the seed decides. */
import type { Message } from "../../src/raft/mod.ts";
import { Cluster } from "./cluster.ts";
import type { Parcel } from "./network.ts";
import { maxClockDrift } from "./options.ts";
import type { TestNode } from "./node.ts";

/** Uniform in [0, 1): mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** What this run suffers from; probabilities per message, or mean milliseconds between two. */
interface Faults {
  readonly loss: number;
  readonly duplication: number;
  latencyMs: number;
  diskMs: number;
  applyMs: number;
  readonly crashEveryMs: number;
  readonly partitionEveryMs: number;
  readonly pauseEveryMs: number;
  readonly transferEveryMs: number;
  readonly changeEveryMs: number;
  readonly snapshotEveryMs: number;
}

const requestTimeoutMs = 100;

export class Chaos {
  readonly cluster: Cluster;
  readonly #random: () => number;
  readonly #faults: Faults;
  /** What is due when, in no order: there is little of it. */
  #agenda: { readonly at: number; readonly act: () => void }[] = [];
  readonly #scheduled = new WeakSet<Parcel>();
  readonly #busy = new Set<string>();
  #proposals = 0;
  #calm = false;

  constructor(seed: number, trace?: (line: string) => void) {
    const random = seeded(seed);
    this.#random = random;
    const rarely = (ms: number): number => random() < 0.5 ? Infinity : ms * (0.3 + random());
    this.#faults = {
      loss: random() < 0.5 ? 0 : random() * 0.3,
      duplication: random() < 0.5 ? 0 : random() * 0.3,
      latencyMs: 1 + random() * (random() < 0.3 ? 60 : 10),
      diskMs: random() < 0.3 ? 40 : 3,
      applyMs: random() < 0.3 ? 40 : 1,
      crashEveryMs: rarely(800),
      partitionEveryMs: rarely(1000),
      pauseEveryMs: rarely(1200),
      transferEveryMs: rarely(1000),
      changeEveryMs: rarely(600),
      snapshotEveryMs: rarely(400),
    };
    this.cluster = this.#draw(trace);
    for (const node of this.cluster.nodes.values()) {
      node.diskPace = "manual";
      node.applyPace = "manual";
      node.clock.rate = 1 + this.#pick([0, random(), 1]) * maxClockDrift;
      node.clock.offset = random() * 1000;
    }
    this.cluster.network.onLoss = (request) => this.#reportLater(request);
    this.#every(20, () => this.#propose());
    this.#every(15, () => this.#read());
    this.#every(this.#faults.crashEveryMs, () => this.#crash());
    this.#every(this.#faults.partitionEveryMs, () => this.#partition());
    this.#every(this.#faults.pauseEveryMs, () => this.#pause());
    this.#every(this.#faults.transferEveryMs, () => this.#transfer());
    this.#every(this.#faults.changeEveryMs, () => this.#change());
    this.#every(this.#faults.snapshotEveryMs, () => this.#snapshot());
  }

  /** Runs for that many milliseconds. */
  run(ms: number): void {
    const { cluster } = this;
    const end = cluster.time + ms;
    for (;;) {
      this.#schedule();
      const next = this.#agenda.reduce<{ at: number; act: () => void } | null>(
        (first, item) => first === null || item.at < first.at ? item : first,
        null,
      );
      const at = Math.min(next?.at ?? Infinity, end);
      // The timers before it; each may put something on the agenda that comes earlier still.
      if (cluster.timeout(at)) continue;
      cluster.time = Math.max(cluster.time, at);
      if (next === null || next.at > end) return;
      this.#agenda = this.#agenda.filter((item) => item !== next);
      next.act();
    }
  }

  /** No faults from here on: everybody lives, hears everybody soon, and has a disk that keeps up. */
  heal(): void {
    this.#calm = true;
    this.#faults.latencyMs = 2;
    this.#faults.diskMs = 2;
    this.#faults.applyMs = 2;
    const { cluster } = this;
    cluster.cut = () => false;
    for (const node of cluster.nodes.values()) {
      if (node.paused) this.#resume(node, 0);
      if (node.raft === null) cluster.restart(node.id);
    }
  }

  #draw(trace: ((line: string) => void) | undefined): Cluster {
    const random = this.#random;
    const ids = ["a", "b", "c", "d", "e", "f"];
    const size = this.#pick([1, 2, 3, 3, 3, 4, 5, 5]);
    const joint = random() < 0.15 && size > 1;
    const learns = !joint && random() < 0.3;
    return new Cluster({
      voters: ids.slice(0, size),
      outgoing: joint ? ids.slice(1, size + 1) : [],
      learners: learns ? [ids[size] ?? ""] : [],
      spares: ids.slice(size + (joint || learns ? 1 : 0)),
      limits: {
        appendBytesMax: this.#pick([1, 100, 1000]),
        inflightAppendsMax: this.#pick([1, 2, 8]),
        inflightBytesMax: this.#pick([50, 4000]),
        uncommittedBytesMax: this.#pick([40, 4000]),
        applyLagMax: this.#pick([3, 100]),
        pendingReadsMax: this.#pick([1, 16]),
        trailingEntries: this.#pick([0, 0, 5]),
        trailingBytesMax: this.#pick([0, 200, 1_000_000]),
      },
      random: () => random,
      ...(trace === undefined ? {} : { trace }),
    });
  }

  /** Gives what is new a time: messages, writes, entries to apply. */
  #schedule(): void {
    const { cluster } = this;
    for (const parcel of cluster.network.parcels) {
      if (this.#scheduled.has(parcel)) continue;
      this.#scheduled.add(parcel);
      this.#later(this.#exponential(this.#faults.latencyMs), () => this.#arrive(parcel));
    }
    for (const node of cluster.nodes.values()) {
      if (node.disk.pending.length > 0) {
        this.#once(`disk ${node.id}`, this.#faults.diskMs, () => {
          if (!node.alive) return;
          cluster.persist(node.id, 1 + Math.floor(this.#random() * node.disk.pending.length));
        });
      }
      if (node.unapplied.length > 0) {
        this.#once(`apply ${node.id}`, this.#faults.applyMs, () => {
          if (node.alive) cluster.apply(node.id);
        });
      }
    }
  }

  #arrive(parcel: Parcel): void {
    const { cluster } = this;
    if (!cluster.network.parcels.includes(parcel)) return;
    if (cluster.nodes.get(parcel.message.to)?.paused === true) {
      this.#later(10, () => this.#arrive(parcel));
      return;
    }
    if (!this.#calm && this.#random() < this.#faults.duplication) {
      cluster.network.parcels.push({ ...parcel });
    }
    if (!this.#calm && this.#random() < this.#faults.loss) cluster.drop(parcel);
    else cluster.deliver(parcel);
  }

  #reportLater(request: Message): void {
    const node = this.cluster.node(request.from);
    const report = (): void => {
      if (node.paused) this.#later(10, report);
      else this.cluster.unreachable(request);
    };
    this.#later(this.#random() * requestTimeoutMs, report);
  }

  #propose(): void {
    const node = this.#someone();
    if (node === undefined) return;
    const count = 1 + Math.floor(this.#random() * 3);
    const commands = Array.from(
      { length: count },
      () => `k${this.#proposals % 5}=${++this.#proposals}`,
    );
    this.cluster.propose(node.id, ...commands);
  }

  #read(): void {
    // Most of all whoever believes to lead, right or wrong.
    const leaders = this.cluster.alive.filter(({ status }) => status.role === "leader");
    const node = this.#random() < 0.5 && leaders.length > 0 ? this.#pick(leaders) : this.#someone();
    if (node !== undefined) {
      this.cluster.read(node.id, this.#random() < 0.5 ? "lease" : "linearizable");
    }
  }

  #crash(): void {
    const node = this.#someone();
    if (node === undefined) return;
    this.cluster.crash(node.id, Math.floor(this.#random() * (node.disk.pending.length + 1)));
    this.#later(this.#random() * 600, () => {
      if (node.raft === null) this.cluster.restart(node.id);
    });
  }

  #partition(): void {
    const ids = [...this.cluster.nodes.keys()];
    const severed = new Set<string>();
    const leader = this.#random() < 0.3 ? this.cluster.leader?.id : undefined;
    const side = new Set(
      ids.filter((id) => leader === undefined ? this.#random() < 0.5 : id === leader),
    );
    const oneWay = this.#random() < 0.3;
    const partial = this.#random() < 0.3 ? this.#pick(ids) : null;
    for (const from of ids) {
      for (const to of ids) {
        if (from === partial || to === partial || side.has(from) === side.has(to)) continue;
        if (!oneWay || side.has(from)) severed.add(`${from} ${to}`);
      }
    }
    this.cluster.cut = (from, to) => severed.has(`${from} ${to}`);
    this.#later(this.#random() * 800, () => {
      this.cluster.cut = () => false;
    });
  }

  /** The process stops; where the whole machine did, its monotonic clock did too, and the wall clock tells. */
  #pause(): void {
    const node = this.#someone();
    if (node === undefined) return;
    node.paused = true;
    const since = this.cluster.time;
    const clockStops = this.#random() < 0.5;
    this.#later(this.#random() * 1000, () => {
      if (node.paused) this.#resume(node, clockStops ? this.cluster.time - since : 0);
    });
  }

  #resume(node: TestNode, stoppedMs: number): void {
    node.paused = false;
    node.clock.offset -= stoppedMs * node.clock.rate;
    if (stoppedMs > 0) this.cluster.step(node.id, { type: "clockJumped" });
    this.cluster.read(node.id, "lease");
  }

  #transfer(): void {
    const node = this.cluster.leader;
    if (node === null) return;
    const target = this.#random() < 0.3 ? null : this.#pick([...this.cluster.nodes.keys()]);
    this.cluster.transfer(node.id, target);
    if (this.#random() < 0.3) this.#later(this.#random() * 20, () => this.#partition());
  }

  /** Any membership of those who were not removed; now and then in the place of one that waits. */
  #change(): void {
    const node = this.cluster.leader;
    if (node === null) return;
    const { removed = [] } = node.status.configuration;
    const free = [...this.cluster.nodes.keys()].filter((id) => !removed.includes(id));
    const seats = free.map((id) => ({ id, seat: this.#random() }));
    const voters = seats.filter(({ seat }) => seat < 0.7).map(({ id }) => id);
    const learners = seats.filter(({ seat }) => seat >= 0.7 && seat < 0.85).map(({ id }) => id);
    if (voters.length === 0) return;
    this.cluster.change(node.id, { voters, learners }, { cancels: this.#random() < 0.2 });
  }

  #snapshot(): void {
    const node = this.#someone();
    if (node !== undefined && node.applied > node.disk.snapshot.meta.index) {
      this.cluster.snapshot(node.id);
    }
  }

  #someone(): TestNode | undefined {
    const { alive } = this.cluster;
    return alive.length === 0 ? undefined : this.#pick(alive);
  }

  #pick<T>(from: readonly T[]): T {
    const picked = from[Math.floor(this.#random() * from.length)];
    if (picked === undefined) throw new Error("nothing to pick from");
    return picked;
  }

  #exponential(mean: number): number {
    return -mean * Math.log(1 - this.#random());
  }

  #later(ms: number, act: () => void): void {
    this.#agenda.push({ at: this.cluster.time + ms, act });
  }

  #once(name: string, meanMs: number, act: () => void): void {
    if (this.#busy.has(name)) return;
    this.#busy.add(name);
    this.#later(this.#exponential(meanMs), () => {
      this.#busy.delete(name);
      act();
    });
  }

  #every(meanMs: number, act: () => void): void {
    if (meanMs === Infinity) return;
    this.#later(this.#exponential(meanMs), () => {
      if (this.#calm) return;
      act();
      this.#every(meanMs, act);
    });
  }
}
