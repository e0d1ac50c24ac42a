/** What a machine's log must hold after a crash: everything it was told to be durable, and no more than was begun. */
import type { RecoveredLog, WalWrite } from "../../src/ports.ts";
import type { Entry, HardState } from "../../src/raft/types.ts";

export interface Point {
  readonly index: number;
  readonly term: number;
  readonly crc: number;
}

export class WalModel {
  #hardState: HardState = { term: 0, vote: null, commit: 0 };
  #base: Point = { index: 0, term: 0, crc: 0 };
  #entries: Point[] = [];
  /** What was durable before a part of it decayed, and each time again, until that is here. */
  #owed: { readonly base: Point; readonly entries: readonly Point[] }[] = [];
  /** Begun, and not reported durable. */
  #pending: WalWrite[] = [];
  /** Entries that bring a configuration: those that are durable, and those that its node goes by. */
  #seats: Point[] = [];
  #begunSeats: Point[] = [];

  get hardState(): HardState {
    return this.#hardState;
  }

  get last(): Point {
    return this.#entries.at(-1) ?? this.#base;
  }

  /** What stands right before the log's first entry. */
  get base(): Point {
    return this.#base;
  }

  /** Entries behind {@link base} that bring a configuration, oldest first, durable or not. */
  get begunSeats(): readonly Point[] {
    return this.#begunSeats;
  }

  /** The last durable one. */
  get lastSeat(): Point | undefined {
    return this.#seats.at(-1);
  }

  /** Writes that were begun, and not reported durable. */
  get writing(): number {
    return this.#pending.length;
  }

  begun(write: WalWrite): void {
    this.#pending.push(write);
    this.#begunSeats = seatsAfter(this.#begunSeats, write);
  }

  /** The oldest write that was begun is durable. */
  completed(): void {
    const write = this.#pending.shift();
    if (write !== undefined) this.#apply(write);
  }

  /** Whether it lacks what was durable once. */
  get owes(): boolean {
    return this.#owed.length > 0;
  }

  /** Whether this entry is durable here, or behind a snapshot that is; or was, and nobody gets a vote before it is again. */
  holds(index: number, crc: number): boolean {
    const logs = [{ base: this.#base, entries: this.#entries }, ...this.#owed];
    return logs.some(({ base, entries }) =>
      index <= base.index || entries[index - base.index - 1]?.crc === crc
    );
  }

  /** Whether this log would deny the other its vote (thesis 3.6.1). */
  isAheadOf(other: WalModel): boolean {
    // By where it ended before anything of it was lost.
    const ends = this.#owed.map(({ base, entries }) => entries.at(-1) ?? base);
    const { term, index } = ends.reduce(
      (a, b) => b.term > a.term || (b.term === a.term && b.index > a.index) ? b : a,
      this.last,
    );
    return term > other.last.term || (term === other.last.term && index > other.last.index);
  }

  compactBefore(index: number): void {
    const count = Math.min(index - 1, this.last.index) - this.#base.index;
    const base = this.#entries[count - 1];
    if (count <= 0 || base === undefined) return;
    this.#base = base;
    this.#entries.splice(0, count);
  }

  /** Whether a log holds at least what the disk owes, or knows that it doesn't: the same, or more of what was begun. */
  admits(
    log: RecoveredLog,
    end: Pick<Point, "index" | "term"> = log.entries.at(-1) ?? log.logStart,
  ): boolean {
    const { hardState } = log;
    if (hardState.term > this.#hardState.term) return true;
    if (hardState.term < this.#hardState.term || hardState.vote !== this.#hardState.vote) {
      return false;
    }
    return end.index >= this.last.index || end.term > this.last.term;
  }

  /** What a new process found and mended, or still does. Null where term and vote are those that were promised. */
  repairing(log: RecoveredLog): string | null {
    this.#owed.push({ base: this.#base, entries: this.#entries });
    const { term, vote } = this.#hardState;
    const pending = this.#pending.flatMap(({ hardState }) => hardState ?? []);
    this.#pending = [];
    const kept = [this.#hardState, ...pending].some((each) =>
      each.term === log.hardState.term && each.vote === log.hardState.vote
    );
    this.#begin(log);
    const found = `term=${log.hardState.term} vote=${log.hardState.vote}`;
    return kept ? null : `the disk owed term=${term} vote=${vote}, a repair kept ${found}`;
  }

  /** What had decayed is here again. */
  repaired(): void {
    this.#owed = [];
  }

  #begin(log: RecoveredLog): void {
    this.#hardState = log.hardState;
    this.#base = log.logStart;
    this.#entries = log.entries.map(pointOf);
    this.#seats = log.entries.filter(isSeat).map(pointOf);
    this.#begunSeats = this.#seats;
  }

  /** What a new process found, from which the model goes on. */
  recovered(log: RecoveredLog): "asPromised" | "more" | { readonly differs: string } {
    const found = describe(log.hardState, log.entries.at(-1) ?? log.logStart);
    const promised = describe(this.#hardState, this.last);
    const pending = this.#pending;
    this.#pending = [];
    let isFound = found === promised;
    for (const write of pending) {
      if (isFound) break;
      this.#apply(write);
      isFound = describe(this.#hardState, this.last) === found;
    }
    this.#begin(log);
    if (!isFound) return { differs: `the disk owed ${promised}, recovery found ${found}` };
    return found === promised ? "asPromised" : "more";
  }

  #apply(write: WalWrite): void {
    const { hardState, reset, truncateFrom, entries } = write;
    this.#seats = seatsAfter(this.#seats, write);
    if (hardState !== null) this.#hardState = hardState;
    if (reset !== null) {
      this.#base = { index: reset.index, term: reset.term, crc: reset.crc };
      this.#entries = [];
    }
    if (truncateFrom !== null) this.#entries.length = truncateFrom - 1 - this.#base.index;
    for (const { index, term, crc } of entries) this.#entries.push({ index, term, crc });
  }
}

function isSeat({ kind }: Entry): boolean {
  return kind === "configuration";
}

function pointOf({ index, term, crc }: Entry): Point {
  return { index, term, crc };
}

function seatsAfter(seats: Point[], { reset, truncateFrom, entries }: WalWrite): Point[] {
  const kept = reset !== null
    ? []
    : truncateFrom !== null
    ? seats.filter(({ index }) => index < truncateFrom)
    : seats;
  const added = entries.filter(isSeat);
  return added.length === 0 ? kept : [...kept, ...added.map(pointOf)];
}

function describe({ term, vote, commit }: HardState, last: Point): string {
  return `term=${term} vote=${
    vote ?? "-"
  } commit=${commit} last=${last.index}@${last.term} (${last.crc})`;
}
