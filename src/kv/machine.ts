/**
 * The replicated state machine: the same commands in the same order give the same store, and the same results, on
 * every replica. It implements `StateMachine` of `ports.ts`, by shape: this room stands on the ground floor.
 */
import { invariant } from "../assert.ts";
import { MalformedBytes } from "../errors.ts";
import { firstVersion, newestVersion } from "./cluster-version.ts";
import { decodeCommand, encodeCommand, stampCommand, timeOf } from "./command-codec.ts";
import type {
  Command,
  Condition,
  DeleteCommand,
  HistoryLimits,
  KeyedCommand,
  LeaseId,
  PutCommand,
} from "./command.ts";
import { fingerprintOf, readBytesMax } from "./idempotency.ts";
import type { Key } from "./key.ts";
import type { Lease } from "./leases.ts";
import { decodeResult, encodeResult } from "./result-codec.ts";
import { type KvResult, resultBytesMax } from "./result.ts";
import { snapshotChunks, stateFromChunks } from "./snapshot.ts";
import { newState, type State } from "./state.ts";
import { defaultHistory, type Store } from "./store.ts";
import {
  attachedOf,
  type Circumstances,
  noLease,
  runBatch,
  runTransaction,
} from "./transaction.ts";
import { type AppliedCounts, type KvUsage, usageOf } from "./usage.ts";

/** Changes that one command of the leader's makes of what is due, at most. */
const expiredMax = 1000;
/**
 * With anything due to come, the time is put into the log this often: who leads next, or after a restart of all, counts
 * on from there.
 */
const tickMs = 1000;

/** Commands that nobody's session may have. */
const ownTypes: ReadonlySet<Command["type"]> = new Set(["keyed", "expire", "configure", "upgrade"]);

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
  /** Stamps that were applied, or came with a snapshot. */
  #stamps = 0;
  readonly #applied: AppliedCounts = {};

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

  get usage(): KvUsage {
    return usageOf(this.#state, this.#applied);
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
    let command: Command;
    try {
      command = decodeCommand(payload);
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      return { type: "malformed", revision: before, detail: error.message };
    }
    this.#onStamp(timeOf(payload));
    const result = this.#run(command);
    if (this.store.revision !== before) this.#tellWatchers();
    return result;
  }

  /** The state as it is now; takes no longer for more keys. */
  snapshot(): { chunks(): Iterable<Uint8Array> } {
    return snapshotChunks(this.#state);
  }

  /** Replaces the whole state, once all of the new one is there. @throws {MalformedBytes} and then the old one stands. */
  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.#state = await stateFromChunks(chunks);
    this.#stamps++;
    this.#tellWatchers();
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

  #tellWatchers(): void {
    for (const listener of this.#watchers) listener();
  }

  /** A command that came before gets the first one's result. */
  #runOnce({ session, number, done, command: payload }: KeyedCommand): KvResult {
    const { store, idempotency, time } = this.#state;
    const { revision } = store;
    let command: Command;
    try {
      command = decodeCommand(payload);
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      return { type: "malformed", revision, detail: error.message };
    }
    if (ownTypes.has(command.type)) {
      return { type: "malformed", revision, detail: `a keyed ${command.type}` };
    }
    const fingerprint = fingerprintOf(payload);
    const verdict = idempotency.begin(session, { number, done, fingerprint }, time);
    switch (verdict.type) {
      case "repeated":
        return decodeResult(verdict.result);
      case "reused":
        return { type: "keyReused", revision };
      case "done":
        return { type: "keyDone", revision };
      case "full":
        return { type: "keysFull", revision };
      case "first": {
        const isShort = idempotency.isHalfFull;
        const result = this.#run(command, isShort ? readBytesMax : resultBytesMax);
        // Who comes again later is to have another chance.
        if (result.type === "leasesFull") return result;
        if (result.type === "tooMuch" && isShort) return { type: "keysFull", revision };
        // Encoded into a buffer that is shared.
        idempotency.keep(session, number, { fingerprint, result: encodeResult(result).slice() });
        return result;
      }
    }
  }

  #run(command: Command, bytesMax: number = resultBytesMax): KvResult {
    const { store, leases, time } = this.#state;
    const { revision } = store;
    this.#applied[command.type] = (this.#applied[command.type] ?? 0) + 1;
    switch (command.type) {
      case "put":
        return this.#put(command);
      case "delete":
        return this.#conditionFailed(command) ?? deleted(store, store.delete(command.key));
      case "deleteRange":
        return deleted(store, store.deleteRange(command));
      case "transaction":
        return runTransaction(this.#circumstances(bytesMax), command);
      case "batch":
        return runBatch(this.#circumstances(bytesMax), command.items);
      case "grant": {
        if (leases.isFull) return { type: "leasesFull", revision };
        const { id, ttlMs } = leases.grant(command.ttlMs, time);
        return { type: "lease", revision, lease: id, ttlMs };
      }
      case "keepAlive": {
        const lease = leases.keepAlive(command.lease, time);
        if (lease === undefined) return noLease(store, command.lease);
        return { type: "lease", revision, lease: lease.id, ttlMs: lease.ttlMs };
      }
      case "revoke":
        if (leases.get(command.lease) === undefined) return noLease(store, command.lease);
        return { type: "revoked", deleted: this.#end(command.lease), revision: store.revision };
      case "expire":
        return this.#expire();
      case "configure":
        store.historyLimits = command.history;
        return { type: "configured", revision };
      case "upgrade":
        return this.#upgrade(command.version);
      case "keyed":
        return this.#runOnce(command);
    }
  }

  /** What isn't known here can't be followed: going on would come apart from the others. */
  #upgrade(version: number): KvResult {
    invariant(
      version <= newestVersion,
      `the cluster's version became ${version}, and this software speaks ${newestVersion} at most`,
    );
    this.#state.version = Math.max(this.version, version);
    return { type: "upgraded", revision: this.store.revision, version: this.version };
  }

  #circumstances(resultBytesMax: number): Circumstances {
    const { store, leases, time } = this.#state;
    return { store, time, hasLease: (id) => leases.get(id) !== undefined, resultBytesMax };
  }

  #put(command: PutCommand): KvResult {
    const { store, leases, time } = this.#state;
    const { key, value, contentType, extras } = command;
    const failure = this.#conditionFailed(command);
    if (failure !== null) return failure;
    const lease = extras?.lease ?? null;
    if (lease !== null && leases.get(lease) === undefined) return noLease(store, lease);
    const attached = attachedOf(extras, time);
    const { revision, version, created } = store.put(key, { value, contentType, attached });
    return { type: "put", revision, version, created };
  }

  #conditionFailed({ key, conditions }: PutCommand | DeleteCommand): KvResult | null {
    if (conditions.length === 0) return null;
    const { store } = this.#state;
    const current = store.past(key)?.revision ?? 0;
    if (conditions.every((condition) => holds(condition, current))) return null;
    return { type: "conditionFailed", revision: store.revision, current };
  }

  /** What is due, in the order in which it is: a key or a lease by a revision of its own. */
  #expire(): KvResult {
    const { store, leases, time } = this.#state;
    let deleted = 0;
    for (let changes = 0; changes < expiredMax && this.#firstDue <= time; changes++) {
      const lease = leases.dueBy(store.firstDue ?? time);
      if (lease !== null) deleted += this.#end(lease);
      else deleted += store.delete(store.dueBy(time) ?? "");
    }
    return { type: "expired", revision: store.revision, deleted, more: this.#firstDue <= time };
  }

  /** When the first key or lease is due, in the cluster's time. */
  get #firstDue(): number {
    const { store, leases } = this.#state;
    return Math.min(store.firstDue ?? Infinity, leases.firstDue ?? Infinity);
  }

  /** Ends a lease, and its keys by one revision. Returns how many these were. */
  #end(lease: LeaseId): number {
    const keys = this.store.keysOf(lease);
    this.#state.leases.delete(lease);
    if (keys.length > 0) this.store.deleteAll(keys);
    return keys.length;
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
    const due = this.#firstDue;
    if (due === Infinity) return null;
    return { at: Math.min(due, time + tickMs), command: () => encodeCommand({ type: "expire" }) };
  }
}

function deleted({ revision }: Store, count: number): KvResult {
  return { type: "deleted", revision, deleted: count };
}

/** `current` is the key's revision, 0 where it is absent. */
function holds(condition: Condition, current: number): boolean {
  switch (condition.type) {
    case "exists":
      return current !== 0;
    case "absent":
      return current === 0;
    case "revision":
      return current !== 0 && condition.revisions.includes(current);
    case "notRevision":
      return current === 0 || !condition.revisions.includes(current);
  }
}
