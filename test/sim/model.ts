/**
 * What the store should do, written down a second time and plainly: maps, and no thought of speed. It shares the
 * types and the bounds of `src/kv`, and none of its code.
 */
import { crc32 } from "node:zlib";
import type { BatchItem, Command, HistoryLimits, LeaseId } from "../../src/kv/command.ts";
import { decodeCommand } from "../../src/kv/command-codec.ts";
import type { Key } from "../../src/kv/key.ts";
import type { BatchItemResult, KvResult } from "../../src/kv/result.ts";
import { resultBytesMax } from "../../src/kv/result.ts";
import { conditionHolds, Draft, failedChecks, operateAll } from "./model-operations.ts";
import { ModelHistory } from "./model-history.ts";

/** What a key holds; it is never changed. */
export interface ModelItem {
  readonly value: Uint8Array<ArrayBuffer>;
  readonly crc: number;
  readonly contentType: string;
  readonly created: number;
  readonly revision: number;
  readonly version: number;
  readonly metadata: Uint8Array<ArrayBuffer> | null;
  readonly lease: LeaseId | null;
  /** Cluster time. */
  readonly due: number | null;
}

/** What became of a key by one revision; null is absent. */
export interface ModelEvent {
  readonly key: Key;
  readonly item: ModelItem | null;
  readonly previous: ModelItem | null;
}

export interface ModelLease {
  readonly ttlMs: number;
  readonly due: number;
}

/** A session's commands, as far as their answers are kept. */
interface ModelSession {
  done: number;
  readonly answers: Map<number, { readonly command: string; readonly result: KvResult }>;
}

/** Before a leader says. */
const historyDefault: HistoryLimits = { revisionsMax: 100_000, bytesMax: 16 * 1024 * 1024 };
/** Keys and leases that one command ends at most. */
const expiredMax = 1000;

export class Model {
  revision = 0;
  /** The cluster's. */
  time = 0;
  readonly items: Map<Key, ModelItem> = new Map();
  readonly leases: Map<LeaseId, ModelLease> = new Map();
  readonly #sessions = new Map<string, ModelSession>();
  /** What each revision changed, in key order; index 0 is revision 1. */
  readonly #changes: (readonly ModelEvent[])[] = [];
  readonly #history = new ModelHistory(historyDefault);
  #lastLease = 0;

  /** The cluster's. */
  version = 1;

  /** @param time that was stamped into the command; 0 where it depends on none. */
  run(command: Command, time: number): KvResult {
    this.time = Math.max(this.time, time);
    return command.type === "keyed" ? this.#keyed(command) : this.#run(command);
  }

  /** The oldest revision at which the state can be read. */
  get floor(): number {
    return this.#history.floor;
  }

  /** What a revision changed, in key order. */
  changes(revision: number): readonly ModelEvent[] {
    return this.#changes[revision - 1] ?? [];
  }

  /** The keys that end with a lease, in order. */
  keysOf(lease: LeaseId): Key[] {
    return [...this.items].filter(([, item]) => item.lease === lease).map(([key]) => key).sort();
  }

  /** Takes the next revision where `written` changes anything. */
  commit(written: ReadonlyMap<Key, ModelItem | null>): void {
    const events: ModelEvent[] = [];
    for (const key of [...written.keys()].sort()) {
      const item = written.get(key) ?? null;
      const previous = this.items.get(key) ?? null;
      if (item === previous) continue;
      events.push({ key, item, previous });
      if (item === null) this.items.delete(key);
      else this.items.set(key, item);
    }
    if (events.length === 0) return;
    this.revision++;
    this.#changes.push(events);
    this.#history.add(events);
  }

  #run(command: Exclude<Command, { type: "keyed" }>): KvResult {
    switch (command.type) {
      case "put":
      case "delete":
      case "deleteRange":
        return this.#single(command);
      case "transaction":
        return this.#transaction(command);
      case "batch":
        return this.#batch(command.items);
      case "grant": {
        const lease = ++this.#lastLease;
        return this.#keep(lease, command.ttlMs);
      }
      case "keepAlive": {
        const { lease } = command;
        const ttlMs = this.leases.get(lease)?.ttlMs;
        if (ttlMs === undefined) return { type: "noLease", revision: this.revision, lease };
        return this.#keep(lease, ttlMs);
      }
      case "revoke": {
        const { lease } = command;
        if (!this.leases.has(lease)) return { type: "noLease", revision: this.revision, lease };
        const deleted = this.#end(lease);
        return { type: "revoked", revision: this.revision, deleted };
      }
      case "expire":
        return this.#expire();
      case "configure":
        this.#history.limits = command.history;
        return { type: "configured", revision: this.revision };
      case "restore":
        throw new Error("the model knows no restores");
      case "upgrade":
        this.version = Math.max(this.version, command.version);
        return { type: "upgraded", revision: this.revision, version: this.version };
      case "as":
      case "putRole":
      case "deleteRole":
      case "putToken":
      case "deleteToken":
        throw new Error(`${command.type}: nobody draws it`);
    }
  }

  #single(command: Extract<Command, { type: "put" | "delete" | "deleteRange" }>): KvResult {
    if (command.type !== "deleteRange") {
      const current = this.items.get(command.key)?.revision ?? 0;
      if (!command.conditions.every((condition) => conditionHolds(condition, current))) {
        return { type: "conditionFailed", revision: this.revision, current };
      }
    }
    const draft = new Draft(this, 0);
    const done = operateAll(draft, [command]);
    if (!("results" in done)) return done;
    const [result] = done.results;
    this.commit(draft.written);
    if (result?.type === "put" || result?.type === "deleted") {
      return { ...result, revision: this.revision };
    }
    throw new RangeError(`a ${command.type} came to ${result?.type}`);
  }

  #transaction(
    command: Extract<Command, { type: "transaction" }>,
  ): KvResult {
    const succeeded = failedChecks(this, command.checks).length === 0;
    const draft = new Draft(this, resultBytesMax);
    const done = operateAll(draft, succeeded ? command.then : command.else);
    if (!("results" in done)) return done;
    this.commit(draft.written);
    const { results } = done;
    return { type: "transaction", revision: this.revision, succeeded, results };
  }

  #batch(items: readonly BatchItem[]): KvResult {
    let bytesLeft = resultBytesMax;
    const results = items.map(({ checks, operation }): BatchItemResult => {
      const [failed] = failedChecks(this, checks);
      if (failed !== undefined) {
        const current = checks.length > 1 ? null : this.items.get(failed)?.revision ?? 0;
        return { type: "conditionFailed", revision: this.revision, current };
      }
      const draft = new Draft(this, bytesLeft);
      const done = operateAll(draft, [operation]);
      if (!("results" in done)) return done;
      bytesLeft = draft.bytesLeft;
      const [result] = done.results;
      if (result === undefined) throw new RangeError("an operation without a result");
      this.commit(draft.written);
      return { ...result, revision: this.revision };
    });
    return { type: "batch", revision: this.revision, results };
  }

  #keyed({ session, number, done, command }: Extract<Command, { type: "keyed" }>): KvResult {
    const known = this.#sessions.get(session) ?? { done: 0, answers: new Map() };
    if (number < known.done) return { type: "keyDone", revision: this.revision };
    const bytes = `${crc32(command)} ${command.length}`;
    const before = known.answers.get(number);
    if (before !== undefined) {
      return before.command === bytes
        ? before.result
        : { type: "keyReused", revision: this.revision };
    }
    // What a session says of later numbers than its command's own isn't listened to.
    known.done = Math.max(known.done, Math.min(done, number));
    for (const each of [...known.answers.keys()]) if (each < known.done) known.answers.delete(each);
    this.#sessions.set(session, known);
    const inner = decodeCommand(command);
    if (inner.type === "keyed") throw new RangeError("keyed twice");
    const result = this.#run(inner);
    known.answers.set(number, { command: bytes, result });
    return result;
  }

  #keep(lease: LeaseId, ttlMs: number): KvResult {
    this.leases.set(lease, { ttlMs, due: this.time + ttlMs });
    return { type: "lease", revision: this.revision, lease, ttlMs };
  }

  #end(lease: LeaseId): number {
    const keys = this.keysOf(lease);
    this.leases.delete(lease);
    this.commit(new Map(keys.map((key) => [key, null])));
    return keys.length;
  }

  /** What is due, the earliest first: a lease before a key, then by id, or in key order. */
  #expire(): KvResult {
    let deleted = 0;
    for (let ended = 0; ended < expiredMax; ended++) {
      const [lease] = [...this.leases].toSorted(([a, one], [b, other]) =>
        one.due - other.due || a - b
      );
      const [key] = [...this.items].filter(([, { due }]) => due !== null).toSorted(
        ([a, one], [b, other]) => (one.due ?? 0) - (other.due ?? 0) || (a < b ? -1 : 1),
      );
      const leaseDue = lease?.[1].due ?? Infinity;
      const keyDue = key?.[1].due ?? Infinity;
      if (Math.min(leaseDue, keyDue) > this.time) {
        return { type: "expired", revision: this.revision, deleted, more: false };
      }
      if (lease !== undefined && leaseDue <= keyDue) deleted += this.#end(lease[0]);
      else if (key !== undefined) {
        this.commit(new Map([[key[0], null]]));
        deleted++;
      }
    }
    return { type: "expired", revision: this.revision, deleted, more: true };
  }
}
