/** A disk in memory that loses what was not synced: writes wait in order until they are completed or lost. */
import { invariant } from "../../src/assert.ts";
import type {
  Configuration,
  Entry,
  HardState,
  Persist,
  RaftRestart,
  SealEntry,
  SnapshotMeta,
} from "../../src/raft/mod.ts";

/** A snapshot of the test's state machine. */
export interface Snapshot {
  readonly meta: SnapshotMeta;
  readonly state: ReadonlyMap<string, string>;
}

type LogStart = RaftRestart["logStart"];

export class Disk {
  hardState: HardState = { term: 0, vote: null, commit: 0 };
  snapshot: Snapshot;
  logStart: LogStart = { index: 0, term: 0, crc: 0 };
  /** What would be found after a crash now. */
  entries: Entry[] = [];
  /** Where the log ended before a part of it decayed. */
  owes: RaftRestart["owes"] = null;
  /** Written, not synced. */
  pending: Persist[] = [];
  readonly #seal: SealEntry;

  constructor(configuration: Configuration, seal: SealEntry) {
    this.snapshot = {
      meta: { index: 0, term: 0, crc: 0, configuration },
      state: new Map(),
    };
    this.#seal = seal;
  }

  get lastIndex(): number {
    return this.logStart.index + this.entries.length;
  }

  entry(index: number): Entry | undefined {
    return this.entries[index - this.logStart.index - 1];
  }

  write(persist: Persist): void {
    const behind = this.pending.at(-1);
    invariant(
      behind === undefined || persist.seq === behind.seq + 1,
      `write ${persist.seq} follows write ${behind?.seq}`,
    );
    this.pending.push(persist);
  }

  /** Makes the oldest write durable. */
  complete(): Persist {
    const persist = this.pending.shift();
    if (persist === undefined) throw new Error("no write is under way");
    this.#make(persist);
    return persist;
  }

  /** The process died. The first `surviving` of its unsynced writes had reached the disk all the same. */
  crash(surviving: number): void {
    for (const persist of this.pending.slice(0, surviving)) this.#make(persist);
    this.pending = [];
  }

  /** Loses what stands behind `index`, and knows what that was. */
  decay(index: number): void {
    const { index: last, term } = this.entries.at(-1) ?? this.logStart;
    this.owes = { index: last, term };
    this.entries = this.entries.slice(0, index - this.logStart.index);
    this.hardState = { ...this.hardState, commit: Math.min(this.hardState.commit, index) };
  }

  /** A real log removes whole files, so it may keep more than it was asked to. */
  compactBefore(index: number): void {
    const start = this.entry(index - 1);
    if (start === undefined) return;
    this.entries = this.entries.slice(index - 1 - this.logStart.index);
    this.logStart = { index: start.index, term: start.term, crc: start.crc };
  }

  restart(): RaftRestart {
    const { meta } = this.snapshot;
    invariant(
      this.logStart.index <= meta.index,
      `the log on disk begins at ${this.logStart.index + 1}, after the snapshot's ${meta.index}`,
    );
    const reached = meta.index === this.logStart.index ? this.logStart : this.entry(meta.index);
    if (reached?.crc !== meta.crc) {
      // Died between putting a received snapshot in place and restarting the log behind it.
      this.logStart = { index: meta.index, term: meta.term, crc: meta.crc };
      this.entries = [];
    }
    return {
      hardState: this.hardState,
      snapshot: this.snapshot.meta,
      logStart: this.logStart,
      entries: [...this.entries],
      owes: this.owes ?? null,
    };
  }

  #make(persist: Persist): void {
    if (persist.hardState !== null) this.#makeHardState(persist.hardState);
    if (persist.reset !== null) {
      const { index, term, crc } = persist.reset;
      invariant(
        this.snapshot.meta.index >= index,
        `the log is reset to ${index} with a snapshot at ${this.snapshot.meta.index}`,
      );
      this.entries = [];
      this.logStart = { index, term, crc };
    }
    if (persist.truncateFrom !== null) {
      invariant(
        persist.truncateFrom > this.logStart.index && persist.truncateFrom <= this.lastIndex,
        `truncation from ${persist.truncateFrom} in a log of ${
          this.logStart.index + 1
        }–${this.lastIndex}`,
      );
      this.entries = this.entries.slice(0, persist.truncateFrom - this.logStart.index - 1);
    }
    for (const entry of persist.entries) this.#append(entry);
    invariant(
      this.hardState.commit <= Math.max(this.lastIndex, this.snapshot.meta.index),
      `commit ${this.hardState.commit} is durable before entry ${this.hardState.commit}`,
    );
  }

  #makeHardState(next: HardState): void {
    const { term, vote, commit } = this.hardState;
    invariant(next.term >= term, `the term went back from ${term} to ${next.term}`);
    invariant(
      next.term > term || vote === null || next.vote === vote,
      `the vote in term ${term} changed from ${vote} to ${next.vote}`,
    );
    invariant(next.commit >= commit, `durable commit went back from ${commit} to ${next.commit}`);
    this.hardState = next;
  }

  #append(entry: Entry): void {
    const previous = this.entries.at(-1) ?? this.logStart;
    invariant(
      entry.index === previous.index + 1,
      `entry ${entry.index} is written behind ${previous.index}`,
    );
    invariant(
      this.#seal(entry, previous.crc).crc === entry.crc,
      `entry ${entry.index}@${entry.term} does not continue the chain`,
    );
    this.entries.push(entry);
  }
}
