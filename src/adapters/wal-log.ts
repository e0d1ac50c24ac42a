/** What a WAL stands for: hard state, where the log starts, and its entries. Followed while writing and recovering. */
import { InvariantViolation } from "../assert.ts";
import type { RecoveredLog, WalWrite } from "../ports.ts";
import type { Entry, HardState, Index } from "../raft/types.ts";
import type { ChainPoint } from "./log-record.ts";

/** Before the first write. */
export const FIRST_HARD_STATE: HardState = { term: 0, vote: null, commit: 0 };

/** A write whose cut is spelled as the last entry that is kept, which can be followed without the entries before. */
export interface CutWrite {
  readonly hardState: HardState | null;
  readonly reset: ChainPoint | null;
  readonly keep: ChainPoint | null;
  readonly entries: readonly Entry[];
}

/** The log as of the last write that was applied to it. */
export class WalLog {
  hardState: HardState;
  start: ChainPoint;
  readonly #entries: Entry[];

  constructor(hardState: HardState, start: ChainPoint, entries: readonly Entry[] = []) {
    this.hardState = hardState;
    this.start = start;
    this.#entries = [...entries];
  }

  /** The last entry's place in the chain, or the start where there is none. */
  get last(): ChainPoint {
    return this.#entries.at(-1) ?? this.start;
  }

  /** Whether this very place is in the log, or right before it. */
  holds(place: ChainPoint): boolean {
    const offset = place.index - this.start.index;
    const here = offset === 0 ? this.start : this.#entries[offset - 1];
    return here !== undefined && samePoint(here, place);
  }

  /** What a recovery hands out: a copy, which later writes do not change. */
  recovered(): RecoveredLog {
    return { hardState: this.hardState, logStart: this.start, entries: [...this.#entries] };
  }

  /**
   * Spells a write's cut as the entry kept.
   * @throws {InvariantViolation} where the write does not follow this log.
   */
  cut(write: WalWrite): CutWrite {
    const { hardState, reset, truncateFrom, entries } = write;
    const keep = truncateFrom === null ? null : this.#at(truncateFrom - 1);
    if (reset !== null && keep !== null) broken("a write both resets and truncates");
    const cut = { hardState, reset: reset === null ? null : point(reset), keep, entries };
    const first = entries[0];
    const behind = cut.reset ?? keep ?? this.last;
    if (first !== undefined && first.index !== behind.index + 1) {
      broken(`entry ${first.index} cannot follow ${behind.index}`);
    }
    return cut;
  }

  /**
   * Applies everything but the entries. Returns the index behind which it voided what was there before: 0 for all of
   * it, infinite for nothing.
   * @throws {InvariantViolation} where it does not follow this log.
   */
  begin(write: Omit<CutWrite, "entries">): Index {
    const { hardState, reset, keep } = write;
    if (hardState !== null) this.#setHardState(hardState);
    if (reset !== null) this.#restart(reset);
    if (keep === null) return reset === null ? Infinity : 0;
    if (keep.index < this.start.index) {
      this.#restart(keep);
      return 0;
    }
    if (!samePoint(this.#at(keep.index), keep)) broken(`entry ${keep.index} is not the one kept`);
    this.#entries.length = keep.index - this.start.index;
    return keep.index;
  }

  /** Appends entries that were verified to follow. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) this.#entries.push(entry);
  }

  /** Forgets entries before `index`, as far as there are such. */
  compactBefore(index: Index): void {
    const count = Math.min(index - 1, this.last.index) - this.start.index;
    if (count <= 0) return;
    this.start = point(this.#at(this.start.index + count));
    this.#entries.splice(0, count);
  }

  #setHardState(next: HardState): void {
    const { term, vote } = this.hardState;
    if (next.term < term) broken(`term ${next.term} after term ${term}`);
    if (next.term === term && vote !== null && next.vote !== vote) {
      broken(`a vote for ${next.vote} after one for ${vote} in term ${term}`);
    }
    this.hardState = next;
  }

  #restart(start: ChainPoint): void {
    this.start = start;
    this.#entries.length = 0;
  }

  #at(index: Index): ChainPoint {
    if (index === this.start.index) return this.start;
    const entry = this.#entries[index - this.start.index - 1];
    return entry ?? broken(`entry ${index} is outside ${this.start.index}–${this.last.index}`);
  }
}

/** Whether two places are the same place in the same history. */
export function samePoint(a: ChainPoint, b: ChainPoint): boolean {
  return a.index === b.index && a.term === b.term && a.crc === b.crc;
}

/** Only the place, of something that has more to it. */
export function point({ index, term, crc }: ChainPoint): ChainPoint {
  return { index, term, crc };
}

function broken(message: string): never {
  throw new InvariantViolation(`a write does not follow the log: ${message}`);
}
