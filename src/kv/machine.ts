/**
 * The replicated state machine: the same commands in the same order give the same store, and the same results, on
 * every replica. It implements `StateMachine` of `ports.ts`, by shape: this room stands on the ground floor.
 */
import type { Access } from "./access/access.ts";
import { runWithRights } from "./access/run-as.ts";
import { firstVersion, newestVersion } from "./cluster-version.ts";
import { encodeCommand, stampCommand, timeOf } from "./command-codec.ts";
import type { HistoryLimits, LeaseId } from "./command.ts";
import { isFrugal } from "./frugal.ts";
import type { Key } from "./key.ts";
import type { Lease } from "./leases.ts";
import { decodeResult, encodeResult } from "./result-codec.ts";
import type { KvResult } from "./result.ts";
import { decoded, firstDueOf } from "./run.ts";
import { snapshotChunks, stateFromChunks } from "./snapshot.ts";
import { newState, type State } from "./state.ts";
import { defaultHistory, type Store } from "./store.ts";
import { type KvUsage, usageOf } from "./usage.ts";

/**
 * With anything due to come, the time is put into the log this often: who leads next, or after a restart of all, counts
 * on from there.
 */
const tickMs = 1000;

/** What the leader is to propose, when the cluster's time is `at`. */
interface Duty {
  readonly at: number;
  readonly command: () => Uint8Array;
}

export interface KvMachineOptions {
  /** How much history there is to be, once this node leads. */
  readonly history?: HistoryLimits;
  /** The highest version that every member is known to speak; asked for while this node leads. */
  readonly spokenByAll?: () => number;
}

export class KvMachine {
  #state: State = newState();
  readonly #history: HistoryLimits;
  readonly #spokenByAll: () => number;
  readonly #watchers = new Set<() => void>();
  readonly #accessWatchers = new Set<() => void>();
  /** Stamps that were applied, or came with a snapshot. */
  #stamps = 0;

  /** What the leader does for this machine; `Housekeeping` of `ports.ts`, by shape. */
  readonly housekeeping: {
    time(): number;
    stamps(): number;
    stamp(command: Uint8Array, timeMs: number): void;
    stampOf(command: Uint8Array): number;
    next(): Duty | null;
  } = {
    time: () => this.#state.time,
    stamps: () => this.#stamps,
    stamp: stampCommand,
    stampOf: timeOf,
    next: () => this.#nextDuty(),
  };

  constructor(
    { history = defaultHistory, spokenByAll = () => firstVersion }: KvMachineOptions = {},
  ) {
    this.#history = history;
    this.#spokenByAll = spokenByAll;
  }

  /** The cluster's version: what all replicas know, and may be proposed. */
  get version(): number {
    return this.#state.version;
  }

  /** The keys after the last command. Replaced by `restore`: ask for it each time. */
  get store(): Store {
    return this.#state.store;
  }

  /** Roles and tokens after the last command. Replaced by `restore`: ask for it each time. */
  get access(): Access {
    return this.#state.access;
  }

  get usage(): KvUsage {
    return usageOf(this.#state);
  }

  /** When there may be room for an idempotency key again, where there is none, in the cluster's time. */
  get keysFreeAt(): number {
    return this.#state.idempotency.freesAt;
  }

  /** Undefined where there is no such lease. */
  lease(id: LeaseId): Lease | undefined {
    return this.#state.leases.get(id);
  }

  /** By id, from behind `behind` on. */
  leases(behind: LeaseId = 0): Iterable<Lease> {
    return this.#state.leases.all(behind);
  }

  /** The keys that end with a lease, in key order. */
  keysOf(lease: LeaseId): readonly Key[] {
    return this.store.keysOf(lease);
  }

  /**
   * Calls `listener` whenever the store's revision has changed, within the turn in which it did. Returns what ends that.
   */
  watch(listener: () => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  /** The same for roles and tokens: whoever had a right may have lost it. */
  watchAccess(listener: () => void): () => void {
    this.#accessWatchers.add(listener);
    return () => this.#accessWatchers.delete(listener);
  }

  /**
   * Applies one command. Whatever its bytes are gives a result: only a defect throws.
   *
   * @example
   * ```ts
   * import { encodeCommand } from "./command-codec.ts";
   * const payload = encodeCommand({ type: "delete", key: "a", conditions: [] });
   * new KvMachine().apply({ payload }); // { type: "deleted", revision: 0, deleted: 0 }
   * ```
   */
  apply({ payload }: { readonly payload: Uint8Array }): KvResult {
    const before = this.store.revision;
    const command = decoded(this.#state, payload);
    if (command.type === "malformed") return command;
    this.#onStamp(timeOf(payload));
    const { access } = this.#state;
    const { changes } = access;
    const result = runWithRights(this.#state, command);
    if (this.#state.successor !== null) this.#succeed(this.#state.successor);
    if (access.changes !== changes) tell(this.#accessWatchers);
    if (this.store.revision !== before) tell(this.#watchers);
    return result;
  }

  isFrugal(payload: Uint8Array): boolean {
    return isFrugal(payload);
  }

  /** The state as it is now; takes no longer for more keys. */
  snapshot(): { chunks(): Iterable<Uint8Array> } {
    return snapshotChunks(this.#state);
  }

  /** Replaces the whole state, once all of the new one is there. @throws {MalformedBytes} and then the old one stands. */
  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { applied } = this.#state;
    this.#state = { ...await stateFromChunks(chunks), applied };
    this.#stamps++;
    tell(this.#accessWatchers);
    tell(this.#watchers);
  }

  /** A state that came by commands takes this one's place. */
  #succeed(successor: State): void {
    this.#state = successor;
    tell(this.#accessWatchers);
  }

  encodeResult(result: KvResult): Uint8Array {
    return encodeResult(result);
  }

  /** @throws {MalformedBytes} */
  decodeResult(bytes: Uint8Array): KvResult {
    return decodeResult(bytes);
  }

  #onStamp(time: number): void {
    if (time === 0) return;
    this.#stamps++;
    this.#state.time = Math.max(this.#state.time, time);
  }

  #nextDuty(): Duty | null {
    const { store, time } = this.#state;
    const { revisionsMax, bytesMax } = store.historyLimits;
    if (revisionsMax !== this.#history.revisionsMax || bytesMax !== this.#history.bytesMax) {
      const history = this.#history;
      return { at: 0, command: () => encodeCommand({ type: "configure", history }) };
    }
    const version = Math.min(newestVersion, this.#spokenByAll());
    if (version > this.version) {
      return { at: 0, command: () => encodeCommand({ type: "upgrade", version }) };
    }
    const due = Math.min(firstDueOf(this.#state), this.#state.staging?.due ?? Infinity);
    if (due === Infinity) return null;
    return { at: Math.min(due, time + tickMs), command: () => encodeCommand({ type: "expire" }) };
  }
}

function tell(listeners: ReadonlySet<() => void>): void {
  for (const listener of listeners) listener();
}
