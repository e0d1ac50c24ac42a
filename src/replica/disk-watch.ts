/** Writes to the log that are not durable yet, and whether the disk takes too long over one. */
import type { Clock } from "../ports.ts";

/** How long after the first look an overdue write may still turn out to have ended, in milliseconds. */
const overdueGraceMs = 1000;

export class DiskWatch {
  readonly #clock: Clock;
  readonly #stallMs: number;
  /** When each was handed to the WAL, oldest first. */
  readonly #writing: { readonly seq: number; readonly at: number }[] = [];
  #overdue: { readonly seq: number; readonly seenAt: number } | null = null;

  /** A write of more than `stallMs` is overdue. */
  constructor(clock: Clock, stallMs: number) {
    this.#clock = clock;
    this.#stallMs = stallMs;
  }

  begun(seq: number, at: number): void {
    this.#writing.push({ seq, at });
  }

  /** This write, and all before it. */
  ended(seq: number): void {
    while (this.#writing[0] !== undefined && this.#writing[0].seq <= seq) this.#writing.shift();
  }

  /** Age of the oldest write that is not durable yet, in milliseconds. */
  get lagMs(): number {
    const oldest = this.#writing[0];
    return oldest === undefined ? 0 : this.#clock.now() - oldest.at;
  }

  /** When {@link isOverdue} is to be asked; Infinity while nothing is being written. */
  deadline(): number {
    const oldest = this.#writing[0];
    if (oldest === undefined) return Infinity;
    const overdue = this.#overdue?.seq === oldest.seq ? this.#overdue : null;
    return 1 + (overdue === null ? oldest.at + this.#stallMs : overdue.seenAt + overdueGraceMs);
  }

  /** A process that was stopped looks here before it hears that its write ended long ago: it looks twice. */
  isOverdue(): boolean {
    const now = this.#clock.now();
    const oldest = this.#writing[0];
    if (oldest === undefined || now - oldest.at <= this.#stallMs) {
      this.#overdue = null;
      return false;
    }
    if (this.#overdue?.seq !== oldest.seq) this.#overdue = { seq: oldest.seq, seenAt: now };
    return now - this.#overdue.seenAt > overdueGraceMs;
  }
}
