/**
 * What this node owes its disk: the write that the current step makes up, the writes on their way, and what is known
 * to be durable. `seq` is the only order: the disk completes writes one after the other, so the last entry that a
 * completed write held is durable with all before it, unless a later write has cut the log before it.
 */
import { invariant } from "../assert.ts";
import type { Message } from "./message.ts";
import type { Persist } from "./step.ts";
import type { HardState, Index, Millis, SnapshotMeta } from "./types.ts";
import type { RaftLog } from "./log.ts";

interface Write {
  readonly seq: number;
  readonly at: Millis;
  /** The last index that is durable once this write is; lowered where the log is cut meanwhile. */
  readonly last: Index;
  readonly resets: boolean;
}

export class Journal {
  /** Entries up to here are as durable as they stand. */
  #durable: Index;
  #onTheWay: Write[] = [];
  #seq = 0;
  #persisted = 0;
  /** The write that carried the current term and vote. */
  #promiseSeq = 0;
  #writtenCommit: Index;

  // The write that this step makes up.
  #promise = false;
  #from: Index | null = null;
  #cut: Index | null = null;
  #reset: SnapshotMeta | null = null;
  #after: Message[] = [];

  constructor(durable: Index, commit: Index) {
    this.#durable = durable;
    this.#writtenCommit = commit;
  }

  get durable(): Index {
    return this.#durable;
  }

  /** The `seq` that this step's write will have. */
  get nextSeq(): number {
    return this.#seq + 1;
  }

  /** Whether term and vote are on the disk. */
  get promised(): boolean {
    return !this.#promise && this.#promiseSeq <= this.#persisted;
  }

  /** Whether a snapshot is taking the log's place, and the disk doesn't have that yet. */
  get resetting(): boolean {
    return this.#reset !== null || this.#onTheWay.some((write) => write.resets);
  }

  /** Since when the disk has owed its oldest write. */
  get waitingSince(): Millis | null {
    return this.#onTheWay[0]?.at ?? null;
  }

  /** Whether anything written so far, this step included, is not durable yet. */
  get busy(): boolean {
    return this.#onTheWay.length > 0 || this.#promise || this.#writesLog();
  }

  termOrVoteChanged(): void {
    this.#promise = true;
  }

  appended(from: Index): void {
    this.#from = Math.min(this.#from ?? from, from);
  }

  truncated(from: Index): void {
    invariant(this.#from === null, "a step that cuts what it appended");
    this.#cut = Math.min(this.#cut ?? from, from);
    this.#limit(from - 1);
  }

  /** The log goes on behind `meta`, whose snapshot is durable already. */
  reset(meta: SnapshotMeta): void {
    this.#limit(0);
    this.#reset = meta;
    this.#cut = null;
    this.#from = null;
    this.#durable = meta.index;
  }

  /** `message` leaves when all that was written so far, this step included, is durable. */
  sendAfter(message: Message): void {
    this.#after.push(message);
  }

  persisted(seq: number): void {
    invariant(seq <= this.#seq, `write ${seq} completed, and ${this.#seq} was the last`);
    this.#persisted = Math.max(this.#persisted, seq);
    let done = 0;
    for (const write of this.#onTheWay) {
      if (write.seq > seq) break;
      this.#durable = Math.max(this.#durable, write.last);
      done += 1;
    }
    this.#onTheWay.splice(0, done);
  }

  /** This step's write, or null where there is nothing to write and nobody waits. */
  flush(state: HardState, log: RaftLog, now: Millis): Persist | null {
    const writes = this.#promise || this.#writesLog();
    if (!writes && this.#after.length === 0) return null;
    this.#seq += 1;
    if (this.#promise) this.#promiseSeq = this.#seq;
    // The commit index goes along with other writes, and never makes one of its own.
    const withState = this.#promise || (writes && state.commit > this.#writtenCommit);
    if (withState) this.#writtenCommit = state.commit;
    const persist: Persist = {
      seq: this.#seq,
      hardState: withState ? state : null,
      reset: this.#reset,
      truncateFrom: this.#cut,
      entries: this.#from === null ? [] : log.slice(this.#from, log.lastIndex),
      sendAfter: this.#after,
    };
    const resets = this.#reset !== null;
    this.#onTheWay.push({ seq: this.#seq, at: now, last: log.lastIndex, resets });
    this.#promise = false;
    this.#from = null;
    this.#cut = null;
    this.#reset = null;
    this.#after = [];
    return persist;
  }

  #writesLog(): boolean {
    return this.#from !== null || this.#cut !== null || this.#reset !== null;
  }

  /** What is durable beyond `last`, or becomes so, is no longer our log. */
  #limit(last: Index): void {
    this.#durable = Math.min(this.#durable, last);
    this.#onTheWay = this.#onTheWay.map((write) => write.last <= last ? write : { ...write, last });
  }
}
