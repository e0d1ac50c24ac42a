/**
 * The cluster's time: milliseconds that pass while there is a leader, or a node that has heard from one. Leaders stamp
 * it into commands that depend on it, so that all replicas agree what time it was; between stamps each node counts on
 * by its own monotonic clock. No wall clock has a say in it, and a cluster that is down as a whole counts nothing.
 *
 * A leader counts for all. Any other node goes to the stamp that it is told of, forward or back: were it ahead, then
 * what another leader had begun since would end early under it. That a stamp was on its way for a while only makes
 * things last longer. So nothing ends before its time by more than clocks differ.
 *
 * With the time come the leader's duties: commands that the state machine wants at a certain time (its expiry, for one).
 */
import type { Clock, Housekeeping } from "../ports.ts";
import type { Entry, Term } from "../raft/types.ts";
import type { Driver } from "./driver.ts";
import type { ReplicaParts } from "./parts.ts";

export interface TimekeeperParts {
  readonly housekeeping: Housekeeping;
  readonly clock: Clock;
  /** The term that this node leads; null where it doesn't. */
  readonly ledTerm: () => Term | null;
  readonly unapplied: () => Unapplied;
  /** Gets a command applied; resolves when that is so. Rejects, or resolves with false, where it may not be. */
  readonly propose: (command: Uint8Array) => Promise<boolean>;
}

/** What the log holds that the state machine doesn't reflect yet. */
export interface Unapplied {
  readonly commands: readonly Uint8Array[];
  /** False where a snapshot is on its way into the state machine: nobody knows its stamps yet. */
  readonly isWhole: boolean;
}

/** The timekeeper of a replica, or null where its state machine keeps no time. */
export function timekeeperOf<Result>(
  { machine: { housekeeping }, clock, options }: ReplicaParts<Result>,
  driver: Driver<Result>,
  propose: TimekeeperParts["propose"],
): Timekeeper | null {
  if (housekeeping === undefined) return null;
  const { raft } = driver;
  return new Timekeeper({
    housekeeping,
    clock,
    ledTerm: () => raft.leader === options.raft.id ? raft.term : null,
    unapplied: () => {
      const next = driver.appliedIndex + 1;
      const entries = raft.entries(next, Infinity).filter(({ kind }) => kind === "command");
      return {
        commands: entries.map(({ payload }) => payload),
        isWhole: raft.status().firstIndex <= next,
      };
    },
    propose,
  });
}

/** A duty that was not done is tried again so much later, in milliseconds. */
const againMs = 50;

export class Timekeeper {
  readonly #parts: TimekeeperParts;
  /** It was `time` when this node's clock was `at`. */
  #anchor: { readonly time: number; readonly at: number };
  /** Stamps that were applied so far. */
  #stamps: number;
  /** The last stamp that came into the log, and when it did. */
  #logged = { time: 0, at: 0 };
  /** The last term that this node led. */
  #ledTerm: Term | null = null;
  #timer: { readonly at: number; readonly cancel: () => void } | null = null;
  #busy = false;
  #stopped = false;

  constructor(parts: TimekeeperParts) {
    this.#parts = parts;
    this.#stamps = parts.housekeeping.stamps();
    this.#anchor = { time: parts.housekeeping.time(), at: parts.clock.now() };
  }

  /** The time now, in whole milliseconds, as far as this node can tell. */
  now(): number {
    return Math.floor(this.#count());
  }

  /** Writes the time into those commands that depend on it. */
  stamp(commands: readonly Uint8Array[]): void {
    const { housekeeping } = this.#parts;
    const time = this.now();
    for (const command of commands) housekeeping.stamp(command, time);
  }

  /** Entries came into the log, from whichever leader. */
  onLogged(entries: readonly Pick<Entry, "kind" | "payload">[]): void {
    const { housekeeping, clock } = this.#parts;
    const stampOf = ({ kind, payload }: Pick<Entry, "kind" | "payload">): number =>
      kind === "command" ? housekeeping.stampOf(payload) : 0;
    const last = entries.findLast((entry) => stampOf(entry) > 0);
    if (last !== undefined) this.#logged = { time: stampOf(last), at: clock.now() };
  }

  /** Entries were applied, or a snapshot took their place. */
  onApplied(): void {
    const { housekeeping } = this.#parts;
    const stamps = housekeeping.stamps();
    if (stamps !== this.#stamps) this.#anchorAt(housekeeping.time());
    this.#stamps = stamps;
    this.look();
  }

  /** Whether this node leads may have changed. */
  onOffice(): void {
    const term = this.#parts.ledTerm();
    if (term !== null && term !== this.#ledTerm) {
      this.#ledTerm = term;
      this.#takeOver();
    }
    this.look();
  }

  /** Sees to what is due, where this node leads, or when it will be. */
  look(): void {
    if (this.#stopped || this.#busy) return;
    const { housekeeping, clock } = this.#parts;
    const duty = this.#leads ? housekeeping.next() : null;
    if (duty === null) return this.#disarm();
    const inMs = duty.at - this.#count();
    // At the least a millisecond: less may come to nothing when it is added to a clock, again and again.
    if (inMs > 0) return this.#arm(clock.now() + Math.max(1, inMs));
    this.#disarm();
    this.#busy = true;
    void this.#do(duty.command());
  }

  stop(): void {
    this.#stopped = true;
    this.#disarm();
  }

  async #do(command: Uint8Array): Promise<void> {
    const { clock, propose } = this.#parts;
    const isDone = await propose(command).catch(() => false);
    if (!isDone) await new Promise<void>((resolve) => clock.timer(clock.now() + againMs, resolve));
    this.#busy = false;
    this.look();
  }

  #anchorAt(stamped: number): void {
    // A leader's own stamps come back to it late, and so do those of leaders before it.
    if (this.#leads && stamped <= this.#count()) return;
    this.#anchor = { time: stamped, at: this.#parts.clock.now() };
  }

  /**
   * A new leader may hold commands of others that it has yet to apply: what it stamps must not be ahead of theirs, or
   * what they began would end early. Their leader's time has gone on since they came here, and this node's with it: so
   * that the time it took to find a new leader counts.
   */
  #takeOver(): void {
    const { housekeeping, clock, unapplied } = this.#parts;
    const { commands, isWhole } = unapplied();
    let last = isWhole ? 0 : housekeeping.time();
    for (const command of commands) last = housekeeping.stampOf(command) || last;
    if (last === 0 && isWhole) return;
    const isLogged = isWhole && last === this.#logged.time;
    this.#anchor = { time: last, at: isLogged ? this.#logged.at : clock.now() };
  }

  get #leads(): boolean {
    return this.#parts.ledTerm() !== null;
  }

  #count(): number {
    const { time, at } = this.#anchor;
    return time + this.#parts.clock.now() - at;
  }

  #arm(at: number): void {
    if (this.#timer !== null && this.#timer.at <= at) return;
    this.#disarm();
    const cancel = this.#parts.clock.timer(at, () => {
      this.#timer = null;
      this.look();
    });
    this.#timer = { at, cancel };
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}
