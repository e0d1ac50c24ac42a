/** The state machine's side of the driver: applies what is committed, takes snapshots of it, is replaced by received ones. */
import { DataDirectoryRefused, MalformedBytes } from "../errors.ts";
import { decodeConfiguration } from "../raft/membership.ts";
import type { Configuration, Entry, Index, SnapshotMeta } from "../raft/types.ts";
import type { ReplicaParts } from "./parts.ts";
import type { Room } from "./room.ts";
import { inSlices, SnapshotReceiver } from "./snapshot-transfer.ts";

/** Whom the applier tells what became of the log. */
export interface ApplierListener<Result> {
  /** All up to `index` is committed, and about to be applied. */
  onCommitted(index: Index): void;
  onApplied(entry: Entry, result: Result | null): void;
  /** The state machine reflects the log up to `index`. */
  onAppliedUpTo(index: Index): void;
  /** A received snapshot took the place of the log up to `index`. */
  onRestored(index: Index): void;
}

/**
 * A snapshot is written anew in full, so it has to wait until the log has outgrown it by so much: then snapshots cost
 * a quarter of what the log costs the disk. A log beyond `snapshotBytes`, which a restart has to replay and memory
 * holds, waits only until it is as large as the snapshot.
 */
const logPerSnapshot = 4;
/** A snapshot of at most so many bytes costs nothing to speak of, and waits for no log. */
const smallSnapshotBytes = 64 * 1024;
/** Where the disk is almost full, so much log since the last snapshot is worth the next: a segment goes with it. */
const shortLogBytes = 16 * 1024 * 1024;
/**
 * Replicas wait for up to this much more, each for a share drawn anew for each snapshot: or all of them would write
 * theirs at the same time, and no majority would be free of it.
 */
const patienceMax = 0.25;

/** The replica ends before its snapshot is written. */
class SnapshotAbandoned extends Error {}

export class Applier<Result> {
  readonly receiver: SnapshotReceiver;
  readonly #parts: ReplicaParts<Result>;
  #applied: { readonly index: Index; readonly term: number; readonly crc: number };
  #configuration: Configuration;
  #bytesSinceSnapshot = 0;
  /** Of the machine's state, in the newest snapshot. */
  #snapshotBytes = 0;
  #snapshotting: Promise<void> | null = null;
  #abandoned = false;
  readonly #room: Room;
  /** How much more log than is due the next snapshot waits for, as a factor. */
  #patience: number;

  private constructor(parts: ReplicaParts<Result>, snapshot: SnapshotMeta, room: Room) {
    this.#parts = parts;
    this.#room = room;
    // Whatever the log adds to the state.
    room.expectSnapshot(() => this.#snapshotBytes + this.#bytesSinceSnapshot);
    this.receiver = new SnapshotReceiver(parts.snapshots, parts.log);
    this.#applied = snapshot;
    this.#configuration = snapshot.configuration;
    this.#patience = drawPatience(parts);
  }

  /** Restores the machine from `snapshot`, the newest, unless that is the cluster's birth. @throws {CorruptData} {DataDirectoryRefused} */
  static async open<Result>(
    parts: ReplicaParts<Result>,
    snapshot: SnapshotMeta,
    room: Room,
  ): Promise<Applier<Result>> {
    const applier = new Applier(parts, snapshot, room);
    if (snapshot.index > 0) await applier.#restoreFirst(snapshot);
    return applier;
  }

  /** The state machine reflects the log up to here. */
  get index(): Index {
    return this.#applied.index;
  }

  /** Who takes part, as of {@link index}. */
  get configuration(): Configuration {
    return this.#configuration;
  }

  apply(entries: readonly Entry[], listener: ApplierListener<Result> | null): void {
    const { machine, clock, observer } = this.#parts;
    const last = entries.at(-1);
    if (last !== undefined) listener?.onCommitted(last.index);
    const since = clock.now();
    for (const entry of entries) {
      const result = entry.kind === "command" ? machine.apply(entry) : null;
      if (entry.kind === "configuration") {
        this.#configuration = decodeConfiguration(entry.payload);
      }
      this.#bytesSinceSnapshot += entry.record.length;
      this.#applied = entry;
      listener?.onApplied(entry, result);
    }
    observer.applied((clock.now() - since) / 1000, entries.length);
    listener?.onAppliedUpTo(this.index);
  }

  /** Puts the received snapshot in place of the node's own and of the machine's state. */
  async restore(meta: SnapshotMeta, listener: ApplierListener<Result> | null): Promise<void> {
    const { log, clock, observer } = this.#parts;
    await this.#snapshotting;
    const since = clock.now();
    await this.receiver.install(meta);
    await this.#restoreMachine();
    this.#applied = meta;
    this.#configuration = meta.configuration;
    this.#bytesSinceSnapshot = 0;
    listener?.onRestored(meta.index);
    listener?.onAppliedUpTo(meta.index);
    observer.snapshotInstalled((clock.now() - since) / 1000, meta.index);
    log("info", "restored from a received snapshot", { index: meta.index, term: meta.term });
  }

  /**
   * Takes a snapshot where one is due and none is under way, and again where what came meanwhile is due by itself:
   * perhaps nothing more comes. `onTaken` hears of each when it is durable, and moves `snapshotIndex` with it.
   */
  async snapshotWhileDue(
    snapshotIndex: () => Index,
    onTaken: (meta: SnapshotMeta) => void,
  ): Promise<void> {
    while (this.#snapshotting === null && !this.#abandoned && this.#isDue(snapshotIndex())) {
      const meta = await this.#take();
      onTaken(meta);
      // A replica that has ended takes no note of it.
      if (snapshotIndex() < meta.index) return;
    }
  }

  /** The machine's state is frozen now and written out while it goes on. */
  async #take(): Promise<SnapshotMeta> {
    this.#bytesSinceSnapshot = 0;
    this.#patience = drawPatience(this.#parts);
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

  /**
   * Gives up a snapshot under way, between two of its chunks, or a stop could last as long as it: the log still stands
   * for it. Whoever took it is told. One that is being read back already, or put in place, ends.
   */
  async abandonSnapshot(): Promise<void> {
    this.#abandoned = true;
    await this.#snapshotting?.catch(() => {});
  }

  #isDue(snapshotIndex: Index): boolean {
    const { snapshotEntries, snapshotBytes } = this.#parts.options;
    const entries = this.index - snapshotIndex;
    const bytes = this.#bytesSinceSnapshot;
    const last = this.#snapshotBytes;
    if (entries === 0 || !this.#room.fits(last + bytes)) return false;
    if (this.#room.level !== "enough" && bytes >= shortLogBytes) return true;
    if (entries < snapshotEntries && bytes < snapshotBytes) return false;
    return last <= smallSnapshotBytes ||
      bytes >= this.#patience * Math.min(logPerSnapshot * last, Math.max(snapshotBytes, last));
  }

  /** The file is sound, so whoever wrote what can't be read wrote it as it is. */
  async #restoreFirst({ index }: SnapshotMeta): Promise<void> {
    try {
      await this.#restoreMachine();
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      throw new DataDirectoryRefused(
        `the snapshot at index ${index} is not one that this release reads: ${error.message}; start this node with the ` +
          "release that it ran last",
        { cause: error },
      );
    }
  }

  async #restoreMachine(): Promise<void> {
    const { snapshots, machine } = this.#parts;
    await machine.restore(this.#counted(snapshots.read()));
  }

  /** Passes on a snapshot's chunks and notes its size at their end. */
  async *#counted(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    let bytes = 0;
    for await (const chunk of chunks) {
      bytes += chunk.length;
      yield chunk;
    }
    this.#snapshotBytes = bytes;
  }

  /** Passes on the chunks of a snapshot until that is given up. @throws {SnapshotAbandoned} */
  async *#wanted(
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of chunks) {
      if (this.#abandoned) throw new SnapshotAbandoned();
      yield chunk;
    }
  }

  async #write(meta: SnapshotMeta): Promise<void> {
    const { snapshots, machine, clock, observer, log } = this.#parts;
    const startedAt = clock.now();
    const chunks = this.#wanted(inSlices(machine.snapshot().chunks(), clock));
    await snapshots.write(meta, this.#counted(chunks));
    const ms = clock.now() - startedAt;
    observer.snapshotWritten(ms / 1000, meta.index);
    log("info", "snapshot taken", { index: meta.index, term: meta.term, ms: Math.round(ms) });
  }
}

function drawPatience({ options }: ReplicaParts<unknown>): number {
  return 1 + patienceMax * options.raft.random();
}
