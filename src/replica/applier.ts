/** The state machine's side of the driver: applies what is committed, takes snapshots of it, is replaced by received ones. */
import { decodeConfiguration } from "../raft/membership.ts";
import type { Configuration, Entry, Index, SnapshotMeta } from "../raft/types.ts";
import type { ReplicaParts } from "./parts.ts";
import { inSlices, SnapshotReceiver } from "./snapshot-transfer.ts";

/** Whom the applier tells what became of the log. */
export interface ApplierListener<Result> {
  onApplied(entry: Entry, result: Result | null): void;
  /** The state machine reflects the log up to `index`. */
  onAppliedUpTo(index: Index): void;
  /** A received snapshot took the place of the log up to `index`. */
  onRestored(index: Index): void;
}

export class Applier<Result> {
  readonly receiver: SnapshotReceiver;
  readonly #parts: ReplicaParts<Result>;
  #applied: { readonly index: Index; readonly term: number; readonly crc: number };
  #configuration: Configuration;
  #bytesSinceSnapshot = 0;
  #snapshotting: Promise<void> | null = null;

  constructor(parts: ReplicaParts<Result>, snapshot: SnapshotMeta) {
    this.#parts = parts;
    this.receiver = new SnapshotReceiver(parts.snapshots, parts.log);
    this.#applied = snapshot;
    this.#configuration = snapshot.configuration;
  }

  /** The state machine reflects the log up to here. */
  get index(): Index {
    return this.#applied.index;
  }

  apply(entries: readonly Entry[], listener: ApplierListener<Result> | null): void {
    const { machine, transport } = this.#parts;
    for (const entry of entries) {
      const result = entry.kind === "command" ? machine.apply(entry) : null;
      if (entry.kind === "configuration") {
        this.#configuration = decodeConfiguration(entry.payload);
        transport.setUrls(this.#configuration.urls);
      }
      this.#bytesSinceSnapshot += entry.record.length;
      this.#applied = entry;
      listener?.onApplied(entry, result);
    }
    listener?.onAppliedUpTo(this.index);
  }

  /** Puts the received snapshot in place of the node's own and of the machine's state. */
  async restore(meta: SnapshotMeta, listener: ApplierListener<Result> | null): Promise<void> {
    const { snapshots, machine, transport, log } = this.#parts;
    await this.#snapshotting;
    await this.receiver.install(meta);
    await machine.restore(snapshots.read());
    this.#applied = meta;
    this.#configuration = meta.configuration;
    this.#bytesSinceSnapshot = 0;
    transport.setUrls(meta.configuration.urls);
    listener?.onRestored(meta.index);
    listener?.onAppliedUpTo(meta.index);
    log("info", "restored from a received snapshot", { index: meta.index, term: meta.term });
  }

  /**
   * Takes a snapshot where one is due and none is under way. The machine's state is frozen now and written out while
   * it goes on. Resolves with what is durable then, or null where none was due.
   */
  async snapshotIfDue(snapshotIndex: Index): Promise<SnapshotMeta | null> {
    const { snapshotEntries, snapshotBytes } = this.#parts.options;
    const due = this.index - snapshotIndex >= snapshotEntries ||
      this.#bytesSinceSnapshot >= snapshotBytes;
    if (!due || this.#snapshotting !== null || this.index === snapshotIndex) return null;
    this.#bytesSinceSnapshot = 0;
    const { index, term, crc } = this.#applied;
    const meta = { index, term, crc, configuration: this.#configuration };
    this.#snapshotting = this.#write(meta);
    try {
      await this.#snapshotting;
    } finally {
      this.#snapshotting = null;
    }
    return meta;
  }

  /** Waits for a snapshot under way. */
  async idle(): Promise<void> {
    await this.#snapshotting;
  }

  async #write(meta: SnapshotMeta): Promise<void> {
    const { snapshots, machine, clock, observer, log } = this.#parts;
    const startedAt = clock.now();
    await snapshots.write(meta, inSlices(machine.snapshot().chunks(), clock));
    const ms = clock.now() - startedAt;
    observer.snapshotWritten(ms / 1000, meta.index);
    log("info", "snapshot taken", { index: meta.index, term: meta.term, ms: Math.round(ms) });
  }
}
