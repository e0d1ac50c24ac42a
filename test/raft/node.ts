/** One replica of a test cluster: the core, a disk that can lose what was not synced, and a map as state machine. */
import { invariant } from "../../src/assert.ts";
import { decodeConfiguration } from "../../src/raft/membership.ts";
import { Raft } from "../../src/raft/mod.ts";
import type {
  Configuration,
  Effects,
  Entry,
  NodeId,
  Persist,
  RaftEvent,
  RaftOptions,
  RaftStatus,
} from "../../src/raft/mod.ts";
import { Disk } from "./disk.ts";
import type { Snapshot } from "./disk.ts";
import type { Watched } from "./invariants.ts";

const text = new TextDecoder();

/** `auto` does it at once, `manual` when told. */
export type Pace = "auto" | "manual";

/** Monotonic time of a node: its clock may run at another rate, and start elsewhere. */
export interface NodeClock {
  rate: number;
  offset: number;
}

export class TestNode implements Watched {
  readonly id: NodeId;
  readonly disk: Disk;
  readonly clock: NodeClock = { rate: 1, offset: 0 };
  diskPace: Pace = "auto";
  applyPace: Pace = "auto";
  /** Null while crashed. */
  raft: Raft | null = null;
  /** How often it has died. */
  life = 0;
  /** A stopped process: it has its memory, and does nothing. */
  paused = false;
  state: Map<string, string> = new Map();
  applied = 0;
  /** Committed and not yet applied. */
  unapplied: Entry[] = [];
  /** What arrived beside an `installSnapshot`. */
  staged: Snapshot | null = null;
  /** As of `applied`: what a snapshot taken now carries. */
  #configuration: Configuration;
  readonly #options: RaftOptions;

  constructor(options: RaftOptions, configuration: Configuration) {
    this.id = options.id;
    this.#options = options;
    this.#configuration = configuration;
    this.disk = new Disk(configuration, options.seal);
  }

  get alive(): boolean {
    return this.raft !== null && !this.paused;
  }

  get status(): RaftStatus {
    return this.#core.status();
  }

  entry(index: number): Entry | undefined {
    return this.#core.entry(index);
  }

  get deadline(): number {
    return this.#core.deadline();
  }

  now(time: number): number {
    return time * this.clock.rate + this.clock.offset;
  }

  /** When, on the cluster's scale, this node's clock shows `now`. */
  timeOf(now: number): number {
    return (now - this.clock.offset) / this.clock.rate;
  }

  /** How old its state is at most, in the cluster's milliseconds; null where it can't say. */
  staleness(time: number): number | null {
    const now = this.now(time);
    const at = this.#core.freshAt(now);
    return at === null ? null : (now - at) / this.clock.rate;
  }

  start(): void {
    invariant(this.raft === null, `${this.id} runs already`);
    const restart = this.disk.restart();
    this.state = new Map(this.disk.snapshot.state);
    this.applied = this.disk.snapshot.meta.index;
    this.#configuration = this.disk.snapshot.meta.configuration;
    this.unapplied = [];
    this.staged = null;
    this.paused = false;
    this.raft = new Raft(this.#options, restart);
  }

  /** Returns nothing: a dead process has no last words. */
  crash(survivingWrites: number): void {
    this.disk.crash(survivingWrites);
    this.life += 1;
    this.raft = null;
    this.paused = false;
  }

  step(event: RaftEvent, time: number): Effects {
    return this.#core.step(event, this.now(time));
  }

  /** Applies the oldest entry that waits. */
  apply(): Entry {
    const entry = this.unapplied.shift();
    if (entry === undefined) throw new Error(`${this.id} has nothing to apply`);
    invariant(entry.index === this.applied + 1, `${this.id} skips to ${entry.index}`);
    if (entry.kind === "command") {
      const [key = "", value = ""] = text.decode(entry.payload).split("=");
      this.state.set(key, value);
    }
    if (entry.kind === "configuration") this.#configuration = decodeConfiguration(entry.payload);
    this.applied = entry.index;
    return entry;
  }

  /** Puts the staged snapshot in place: durable, as the driver promises before it goes on. */
  restore(index: number): Snapshot {
    const snapshot = this.staged;
    invariant(
      snapshot !== null && snapshot.meta.index === index,
      `${this.id} restores ${index}, staged is ${snapshot?.meta.index}`,
    );
    this.disk.snapshot = snapshot;
    this.state = new Map(snapshot.state);
    this.applied = index;
    this.#configuration = snapshot.meta.configuration;
    this.unapplied = [];
    this.staged = null;
    return snapshot;
  }

  /** A snapshot of what is applied, durable. */
  snapshot(): Snapshot {
    const { index, term, crc } = this.#lastApplied();
    const meta = { index, term, crc, configuration: this.#configuration };
    const snapshot = { meta, state: new Map(this.state) };
    this.disk.snapshot = snapshot;
    return snapshot;
  }

  complete(): Persist {
    return this.disk.complete();
  }

  #lastApplied(): { readonly index: number; readonly term: number; readonly crc: number } {
    const entry = this.entry(this.applied);
    if (entry !== undefined) return entry;
    return this.disk.snapshot.meta;
  }

  get #core(): Raft {
    if (this.raft === null) throw new Error(`${this.id} is down`);
    return this.raft;
  }
}
