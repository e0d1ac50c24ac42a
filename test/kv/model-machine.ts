/** The whole machine, naively: what every command comes to, by `model.ts`. */
import { decodeCommand } from "../../src/kv/command-codec.ts";
import type {
  BatchItem,
  Command,
  DeleteCommand,
  KeyedCommand,
  Operation,
  PutCommand,
} from "../../src/kv/command.ts";
import type { Lease } from "../../src/kv/leases.ts";
import type { BatchItemResult, KvResult, OperationResult } from "../../src/kv/result.ts";
import { checkHolds, conditionHolds, Draft, type Refusal, Revisions } from "./model.ts";

const minute = 60_000;

export class ModelMachine {
  readonly revisions: Revisions = new Revisions();
  readonly leases: Map<number, Lease> = new Map();
  readonly #sessions = new Map<string, { usedAt: number; done: number }>();
  readonly #answers = new Map<string, Map<number, { command: string; result: KvResult }>>();
  /** The id of the next lease. */
  nextLease = 1;
  version = 1;
  #time = 0;

  apply(command: Command, time: number): KvResult {
    this.#time = Math.max(time, this.#time);
    return this.#run(command, 8 * 1024 * 1024);
  }

  /** When a key or a lease is due first. */
  get firstDue(): number {
    const keys = [...this.revisions.now.values()].map(({ due }) => due ?? Infinity);
    return Math.min(...keys, ...[...this.leases.values()].map(({ due }) => due));
  }

  keysOf(lease: number): string[] {
    return [...this.revisions.now].filter(([, item]) => item.lease === lease)
      .map(([key]) => key).toSorted();
  }

  #run(command: Command, limit: number): KvResult {
    switch (command.type) {
      case "put":
      case "delete":
        return this.#single(command, limit);
      case "deleteRange":
        return this.#alone(command, limit);
      case "transaction": {
        const { now } = this.revisions;
        const succeeded = command.checks.every((check) => checkHolds(check, now.get(check.key)));
        const done = this.#all(succeeded ? command.then : command.else, { left: limit, limit });
        if (!Array.isArray(done)) return { ...done, revision: this.revisions.revision };
        const { revision } = this.revisions;
        return { type: "transaction", revision, succeeded, results: done };
      }
      case "batch": {
        const readable = { left: limit, limit };
        const results = command.items.map((item) => this.#item(item, readable));
        return { type: "batch", revision: this.revisions.revision, results };
      }
      case "configure":
        this.revisions.limits = command.history;
        return { type: "configured", revision: this.revisions.revision };
      case "upgrade":
        this.version = Math.max(this.version, command.version);
        return { type: "upgraded", revision: this.revisions.revision, version: this.version };
      case "as":
      case "putRole":
      case "deleteRole":
      case "putToken":
      case "deleteToken":
        throw new Error(`${command.type}: nobody draws it`);
      case "restore":
        throw new Error("the model knows no restores");
      case "expire":
        return this.#expire();
      case "keyed":
        return this.#once(command);
      case "grant":
      case "keepAlive":
      case "revoke":
        return this.#lease(command);
    }
  }

  #single({ conditions, ...operation }: PutCommand | DeleteCommand, limit: number): KvResult {
    const item = this.revisions.now.get(operation.key);
    if (!conditions.every((condition) => conditionHolds(condition, item))) {
      const current = item?.revision ?? 0;
      return { type: "conditionFailed", revision: this.revisions.revision, current };
    }
    return this.#alone(operation, limit);
  }

  #alone(operation: Operation, limit: number): KvResult {
    // What is left of the result of a batch's only item.
    return this.#item({ checks: [], operation }, { left: limit, limit }) as KvResult;
  }

  #item(
    { checks, operation }: BatchItem,
    readable: { left: number; limit: number },
  ): BatchItemResult {
    const { now } = this.revisions;
    if (!checks.every((check) => checkHolds(check, now.get(check.key)))) {
      const current = checks.length > 1 ? null : now.get(checks[0]!.key)?.revision ?? 0;
      return { type: "conditionFailed", revision: this.revisions.revision, current };
    }
    const left = readable.left;
    const done = this.#all([operation], readable);
    const { revision } = this.revisions;
    if (Array.isArray(done)) return { ...done[0]!, revision };
    readable.left = left;
    return { ...done, revision };
  }

  #all(
    operations: readonly Operation[],
    readable: { left: number; limit: number },
  ): OperationResult[] | Refusal {
    for (const operation of operations) {
      const lease = operation.type === "put" ? operation.extras?.lease ?? null : null;
      if (lease !== null && !this.leases.has(lease)) return { type: "noLease", lease };
    }
    const draft = new Draft(this.revisions, this.#time);
    const results: OperationResult[] = [];
    for (const operation of operations) {
      const result = draft.run(operation, readable);
      if ("limit" in result || result.type === "notInteger") return result;
      results.push(result as OperationResult);
    }
    this.revisions.commit(draft.keys);
    return results;
  }

  #lease(command: Extract<Command, { type: "grant" | "keepAlive" | "revoke" }>): KvResult {
    const { revision } = this.revisions;
    if (command.type === "grant") {
      const { ttlMs } = command;
      const id = this.nextLease++;
      this.leases.set(id, { id, ttlMs, due: this.#time + ttlMs });
      return { type: "lease", revision, lease: id, ttlMs };
    }
    const { lease: id } = command;
    const lease = this.leases.get(id);
    if (lease === undefined) return { type: "noLease", revision, lease: id };
    if (command.type === "revoke") {
      const deleted = this.#end(id);
      return { type: "revoked", deleted, revision: this.revisions.revision };
    }
    this.leases.set(id, { ...lease, due: this.#time + lease.ttlMs });
    return { type: "lease", revision, lease: id, ttlMs: lease.ttlMs };
  }

  /** How many keys ended with it. */
  #end(lease: number): number {
    const keys = this.keysOf(lease);
    this.leases.delete(lease);
    this.#delete(keys);
    return keys.length;
  }

  #delete(keys: readonly string[]): void {
    const rest = new Map(this.revisions.now);
    for (const key of keys) rest.delete(key);
    this.revisions.commit(rest);
  }

  #expire(): KvResult {
    let deleted = 0;
    while (this.firstDue <= this.#time) {
      const due = this.firstDue;
      const leases = [...this.leases.values()].filter((lease) => lease.due === due);
      if (leases.length > 0) {
        deleted += this.#end(Math.min(...leases.map(({ id }) => id)));
        continue;
      }
      const keys = [...this.revisions.now].filter(([, item]) => item.due === due);
      this.#delete(keys.map(([key]) => key).toSorted().slice(0, 1));
      deleted++;
    }
    return { type: "expired", revision: this.revisions.revision, deleted, more: false };
  }

  #once({ session, number, done, command }: KeyedCommand): KvResult {
    const { revision } = this.revisions;
    for (const [name, { usedAt }] of this.#sessions) {
      if (usedAt + 12 * minute >= this.#time) continue;
      this.#sessions.delete(name);
      this.#answers.delete(name);
    }
    const known = this.#sessions.get(session) ?? { usedAt: 0, done: 0 };
    const answers = this.#answers.get(session) ?? new Map();
    this.#answers.set(session, answers);
    if (number < known.done) return { type: "keyDone", revision };
    const first = answers.get(number);
    if (first !== undefined) {
      if (first.command !== String(command)) return { type: "keyReused", revision };
      this.#sessions.set(session, { ...known, usedAt: this.#time });
      return first.result;
    }
    const below = Math.max(known.done, Math.min(done, number));
    this.#sessions.set(session, { usedAt: this.#time, done: below });
    for (const each of answers.keys()) if (each < below) answers.delete(each);
    const result = this.#run(decodeCommand(command), 256 * 1024);
    answers.set(number, { command: String(command), result });
    return result;
  }
}
