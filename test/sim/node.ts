/** A simulated machine: a disk, clocks, and at most one process at a time that runs a replica as the product assembles it. */
import { type DataDirectory, openDataDirectory } from "../../src/adapters/data-directory.ts";
import { InvariantViolation } from "../../src/assert.ts";
import { CorruptData, DataDirectoryRefused, DiskFailure } from "../../src/errors.ts";
import type { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { PeerHandler } from "../../src/ports.ts";
import type { Configuration } from "../../src/raft/types.ts";
import type { Replica } from "../../src/replica.ts";
import { statusText } from "../raft/notation.ts";
import { assemble } from "./assembly.ts";
import { clockRate, MachineClock } from "./clock.ts";
import { Decay } from "./decay.ts";
import { SimDisk } from "./disk.ts";
import { type Endpoint, SimTransport } from "./network.ts";
import type { Request, Response } from "./operation.ts";
import { observerOf } from "./observing.ts";
import { drawSettings, type Settings } from "./options.ts";
import { Random } from "./random.ts";
import { onlyProcess, type ReleaseWire } from "./releases.ts";
import { incarnationOf } from "./replica-options.ts";
import { serve, type Server } from "./server.ts";
import type { Simulation } from "./simulation.ts";
import type { Watch } from "./watched.ts";
import type { SimEvent } from "./world.ts";

const directory = "/data";
/** From a process's end by its own decision to the next start, in microseconds. */
const restartAfterUs = 300_000;

export class Machine implements Endpoint {
  readonly id: string;
  readonly number: number;
  readonly clock: MachineClock;
  readonly disk: SimDisk;
  readonly deferred: SimEvent[] = [];
  life = 0;
  paused = false;
  handler: PeerHandler | null = null;
  wire: ReleaseWire | null = null;
  /** It never comes back: its disk is damaged beyond what the node may decide about, or it was chosen to be frozen. */
  lost = false;
  /** Its disk may be damaged: a minority's, so that a clean majority keeps every entry. */
  damageable = false;
  /** Its disk was emptied: it never is again who it was. */
  wiped = false;
  /** A process runs that belongs to no cluster, and asks for one. */
  waits = false;
  /** It has left the cluster, and the world. */
  gone = false;
  onGone: () => void = () => {};
  /** It tells a client that asks now how old its state is, which is at `revision`. */
  onAge: (revision: number, stalenessMs: number) => void = () => {};
  readonly #sim: Simulation;
  readonly #random: Random;
  readonly #peers: ReadonlyMap<string, Endpoint>;
  #settings: Settings;
  #state: "down" | "starting" | "running" = "down";
  #server: (Server & { readonly storage: DataDirectory }) | null = null;
  /** Bits of a snapshot were read wrong in this life. */
  #flipped = false;
  readonly #decay: Decay;
  /** The disks that it has had. */
  #disks = 1;
  /** Its disk belongs to the cluster. */
  #formed: boolean;

  constructor(sim: Simulation, number: number, peers: ReadonlyMap<string, Endpoint>) {
    const { options, world, trace } = sim;
    this.#sim = sim;
    this.number = number;
    this.id = `n${number}`;
    this.#peers = peers;
    this.#random = new Random(options.seed, `node ${this.id}`);
    this.#settings = options.settings;
    this.#formed = sim.birth.voters.includes(this.id);
    this.clock = new MachineClock(world, clockRate(options, number), this.#random.below(1_000_000));
    const random = new Random(options.seed, `disk ${this.id}`);
    const { syncMs, lyingDisk: lies } = options;
    this.disk = new SimDisk({ world, trace, random, owner: this, syncMs, lies });
    this.#decay = new Decay(sim, this.id, this.disk);
    this.disk.onCrash = () => this.#crashedInCall();
    this.disk.onFault = (what) => {
      if (what.startsWith("a bit")) this.#flipped = true;
      if (what.startsWith("a write")) this.#decay.found = true;
      this.note(() => what);
    };
  }

  /** Whether a process runs, be it that it still recovers. */
  get up(): boolean {
    return this.#state !== "down";
  }

  /** Whether it lacks what it once acknowledged, and therefore doesn't lead. */
  get owes(): boolean {
    return this.#decay.owes;
  }

  /** Whether bytes at rest may not be what was written. */
  get damaged(): boolean {
    return this.#decay.found;
  }

  get replica(): Replica<KvResult> | null {
    return this.#server?.replica ?? null;
  }

  get machine(): KvMachine | null {
    return this.#server?.machine ?? null;
  }

  /** Of the present process. */
  get settings(): Settings {
    return this.#settings;
  }

  note(text: () => string): void {
    this.#sim.trace.note(this.id, text);
  }

  start(): void {
    if (this.lost || this.up) return;
    if (!this.#formed) {
      this.waits = true;
      return;
    }
    const life = ++this.life;
    this.#state = "starting";
    this.#flipped = false;
    this.note(() => "starts");
    this.#open(life).catch((error: unknown) => {
      if (life === this.life) this.#exited(error);
    });
  }

  /** The process ends: by a power cut, or by a signal that leaves the system's cache alone. */
  end(by: "power" | "signal"): void {
    if (!this.up) return;
    if (this.#state === "starting") this.#sim.probes.reached("crash in recovery");
    this.#ended(by === "power" ? "loses power" : "is killed");
    if (by === "power") this.disk.powerCut();
    else this.disk.kill();
  }

  /** Bits of the disk decay while no process runs. */
  damage(random: Random): void {
    const path = this.disk.damage(random);
    this.#decay.found = true;
    this.note(() => `decays: ${path}`);
  }

  /** Its disk is lost, and there is an empty one in its place. */
  wipe(): void {
    this.end("power");
    this.note(() => "has an empty disk from now on");
    this.disk.wipe();
    this.#disks++;
    this.#formed = false;
    this.wiped = true;
  }

  /** Names the life of its disk. */
  get incarnation(): string {
    return incarnationOf(this.#disks);
  }

  /** Somebody answers, in the name of a cluster of this configuration, who waits with this life of its disk. */
  greeted(incarnation: string, { incarnations = {}, removed = [] }: Configuration): void {
    if (!this.waits || incarnation !== this.incarnation) return;
    if (removed.includes(this.id)) return this.#leave();
    if (incarnations[this.id] !== incarnation) {
      if (this.wiped) this.#sim.probes.reached("node with an emptied disk told to stay out");
      return;
    }
    this.#sim.probes.reached("newcomer let in");
    this.waits = false;
    this.#formed = true;
    this.start();
  }

  #leave(): void {
    if (this.gone) return;
    this.note(() => "leaves for good");
    this.waits = false;
    this.lost = true;
    this.gone = true;
    this.onGone();
  }

  /** Its own log says that it is a member no more. */
  #removed(): void {
    this.#sim.probes.reached("removed node stopped");
    const leave = (): void => {
      if (!this.up) this.#leave();
    };
    void this.stop().then(leave, leave);
  }

  /** Ends as on SIGTERM: hands leadership over, closes the log. */
  async stop(): Promise<void> {
    const server = this.#server;
    const { life } = this;
    if (server === null) return;
    this.note(() => "is asked to stop");
    if (server.replica.status().role === "leader") {
      await server.replica.transferLeadership(null, 2000).catch(() => {});
    }
    await server.replica.stop();
    await server.storage.release();
    if (life !== this.life) return;
    this.#sim.probes.reached("stopped gracefully");
    this.#ended("has stopped");
    this.disk.kill();
  }

  /** Null where nobody listens. */
  serve(request: Request): Promise<Response> | null {
    return this.#server === null ? null : serve(this.#server, request);
  }

  /** Whoever runs the old release is upgraded now, and nobody goes back any more. */
  settleRelease(): void {
    const releases = this.#sim.releases.get(this.id);
    if (releases === undefined) return;
    releases.isSettled = true;
    if (!releases.isOld || !this.up) return;
    this.end("signal");
    this.startLater(restartAfterUs);
  }

  startLater(us: number): void {
    const { life } = this;
    this.#sim.world.after(us, () => {
      if (life === this.life) this.start();
    });
  }

  #crashedInCall(): void {
    this.#sim.probes.reached("crash within a file-system call");
    if (this.#state === "starting") this.#sim.probes.reached("crash in recovery");
    this.#ended("loses power in the middle of a call");
    this.startLater(this.#random.whole(10_000, 2_000_000));
  }

  #ended(how: string): void {
    this.note(() => how);
    this.life++;
    this.#state = "down";
    this.handler = null;
    this.wire = null;
    this.#server = null;
    this.paused = false;
    this.deferred.length = 0;
  }

  /** The process ended itself, or refused to start. */
  #exited(error: unknown): void {
    const { oracles, probes } = this.#sim;
    const starting = this.#state === "starting";
    this.#ended(`ends: ${String(error)}`);
    this.disk.kill();
    const refuses = error instanceof CorruptData || error instanceof DataDirectoryRefused ||
      (error instanceof InvariantViolation && starting);
    if (refuses && this.damaged) {
      probes.reached("start refused for damage");
      this.lost = true;
      return;
    }
    const isDisk = error instanceof DiskFailure &&
      (this.disk.hurt || this.#flipped || this.damaged);
    if (!isDisk && !(error instanceof CorruptData && this.#flipped)) {
      oracles.fail(`${this.id} ${starting ? "does not start" : "halts"}: ${String(error)}`);
    }
    probes.reached("halted by a failed disk call");
    this.startLater(restartAfterUs);
  }

  async #open(life: number): Promise<void> {
    const { options, network, oracles, probes, world } = this.#sim;
    this.disk.restart();
    if (this.damaged && !(await this.#decay.mayOpen())) return this.#losesLastFrame();
    const watch: Watch = {
      id: this.id,
      oracles,
      probes,
      alive: () => life === this.life,
      note: (text) => this.note(text),
      onRestore: (revision) => this.#restores(revision),
    };
    if (options.faults.has("otherSettings")) {
      probes.reached("fault: otherSettings");
      this.#settings = drawSettings(this.#random);
    }
    const clock = this.clock.of(this);
    const newborn = { id: this.id, incarnation: this.incarnation };
    const cluster = { clusterId: "sim", birth: this.#sim.birth };
    const { segmentBytes } = this.#settings;
    const storage = await openDataDirectory(this.disk, directory, newborn, { segmentBytes });
    if (storage.cluster === null) await storage.enter(cluster);
    if (!this.#decay.mayGoOn(storage)) return this.#losesLastFrame();
    oracles.opened(this.id, this.disk.files());
    const known = { ...storage.newborn, ...(storage.cluster ?? cluster) };
    if (JSON.stringify(known) !== JSON.stringify({ ...newborn, ...cluster })) {
      oracles.fail(`${this.id} starts as ${JSON.stringify(known)}`);
    }
    const release = this.#sim.releases.get(this.id)?.begin(storage, {
      clock,
      onDefect: (error) => {
        if (life === this.life) this.#exited(error);
      },
    }) ?? onlyProcess;
    const { replica, machine } = await assemble({
      sim: this.#sim,
      release,
      settings: this.#settings,
      storage,
      disk: this.disk,
      watch,
      decay: this.#decay,
      transport: new SimTransport(network, this, this.#peers, clock),
      clock,
      random: this.#random.next,
      observer: observerOf({ ...watch, replica: () => life === this.life ? this.replica : null }),
    });
    if (life !== this.life) return;
    const status = replica.status();
    if (oracles.memberships.at(status.commit).configuration.removed?.includes(this.id) === true) {
      probes.reached("removed node refused to start");
      this.#ended("has been removed");
      this.disk.kill();
      return this.#leave();
    }
    this.#state = "running";
    this.handler = replica;
    this.wire = this.#sim.releases.size === 0 ? null : release.wire;
    this.#server = {
      replica,
      machine,
      storage,
      leaseReads: options.leaseReads,
      timeoutMs: options.load.timeoutMs,
      now: () => world.now,
      onSurprise: (error) => {
        if (life === this.life) oracles.fail(`${this.id} answers a client with ${String(error)}`);
      },
    };
    this.note(() => `recovered ${statusText(status)}`);
    void replica.halted.then((error) => {
      if (life === this.life) this.#exited(error);
    });
    // In an event of its own: other things that this one sets off draw, too.
    void replica.removed.then(() => world.atProcess(world.now, this, life, () => this.#removed()));
    replica.start();
  }

  #losesLastFrame(): void {
    this.#sim.probes.reached("the last frame decayed");
    this.#ended("has lost its last write, and could not know");
    this.disk.kill();
    this.lost = true;
  }

  /** A client that asks just now is told the age of the state that still stands, not of the one on its way into it. */
  #restores(revision: number): void {
    const stalenessMs = this.replica?.stalenessMs() ?? null;
    if (stalenessMs === null) return;
    this.#sim.probes.reached("age told while a snapshot is restored");
    this.onAge(revision, stalenessMs);
  }
}
