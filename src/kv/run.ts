/** What each command does to the state. Whether it is let in was decided before (`access/run-as.ts`). */
import { invariant } from "../assert.ts";
import { MalformedBytes } from "../errors.ts";
import { type AccessEdit, accessVersion } from "./access/grant.ts";
import { newestVersion } from "./cluster-version.ts";
import { decodeCommand } from "./command-codec.ts";
import type { Command, DeleteCommand, KeyedCommand, LeaseId, PutCommand } from "./command.ts";
import { holds } from "./condition.ts";
import { fingerprintOf, readBytesMax } from "./idempotency.ts";
import { dropOverdue, runRestore } from "./restoring.ts";
import { decodeResult, encodeResult } from "./result-codec.ts";
import { type KvResult, resultBytesMax } from "./result.ts";
import type { State } from "./state.ts";
import type { Store } from "./store.ts";
import {
  attachedOf,
  type Circumstances,
  noLease,
  runBatch,
  runTransaction,
} from "./transaction.ts";

/** Changes that one command of the leader's makes of what is due, at most. */
const expiredMax = 1000;

/** Commands that nobody's session may have. */
const ownTypes: ReadonlySet<Command["type"]> = new Set([
  "as",
  "keyed",
  "expire",
  "configure",
  "upgrade",
  "restore",
]);

type Malformed = Extract<KvResult, { type: "malformed" }>;

/** The command in `payload`, or the result of one that can't be understood. */
export function decoded(state: State, payload: Uint8Array): Command | Malformed {
  try {
    return decodeCommand(payload);
  } catch (error) {
    if (!(error instanceof MalformedBytes)) throw error;
    return malformed(state, error.message);
  }
}

export function malformed({ store }: State, detail: string): Malformed {
  return { type: "malformed", revision: store.revision, detail };
}

/** Carries a command out. What it reads may come to `bytesMax`. */
export function run(
  state: State,
  command: Command,
  bytesMax: number = resultBytesMax,
): KvResult {
  const { store, leases, time, applied } = state;
  const { revision } = store;
  applied[command.type] = (applied[command.type] ?? 0) + 1;
  switch (command.type) {
    case "put":
      return put(state, command);
    case "delete":
      return conditionFailed(store, command) ?? deleted(store, store.delete(command.key));
    case "deleteRange":
      return deleted(store, store.deleteRange(command));
    case "transaction":
      return runTransaction(circumstances(state, bytesMax), command);
    case "batch":
      return runBatch(circumstances(state, bytesMax), command.items);
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
      return { type: "revoked", deleted: end(state, command.lease), revision: store.revision };
    case "expire":
      return expire(state);
    case "configure":
      store.historyLimits = command.history;
      return { type: "configured", revision };
    case "upgrade":
      return upgrade(state, command.version);
    case "keyed":
      return runOnce(state, command);
    case "putRole":
    case "deleteRole":
    case "putToken":
    case "deleteToken":
      return edit(state, command);
    case "restore":
      return runRestore(state, command);
    case "as":
      return malformed(state, "a token where none belongs");
  }
}

/** When the first key or lease is due, in the cluster's time. */
export function firstDueOf({ store, leases }: State): number {
  return Math.min(store.firstDue ?? Infinity, leases.firstDue ?? Infinity);
}

/** A command that came before gets the first one's result. */
function runOnce(
  state: State,
  { session, number, done, command: payload }: KeyedCommand,
): KvResult {
  const { store: { revision }, idempotency, time } = state;
  const command = decoded(state, payload);
  if (command.type === "malformed") return command;
  if (ownTypes.has(command.type)) return malformed(state, `a keyed ${command.type}`);
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
      const result = run(state, command, isShort ? readBytesMax : resultBytesMax);
      // Who comes again later is to have another chance.
      if (result.type === "leasesFull") return result;
      if (result.type === "tooMuch" && isShort) return { type: "keysFull", revision };
      // Encoded into a buffer that is shared.
      idempotency.keep(session, number, { fingerprint, result: encodeResult(result).slice() });
      return result;
    }
  }
}

/** What isn't known here can't be followed: going on would come apart from the others. */
function upgrade(state: State, version: number): KvResult {
  invariant(
    version <= newestVersion,
    `the cluster's version became ${version}, and this software speaks ${newestVersion} at most`,
  );
  state.version = Math.max(state.version, version);
  return { type: "upgraded", revision: state.store.revision, version: state.version };
}

function edit(state: State, command: AccessEdit): KvResult {
  const { access, version, store: { revision } } = state;
  // Members of an older version would change nothing by it.
  if (version < accessVersion) return malformed(state, `a ${command.type} of a later version`);
  const reason = access.edit(command);
  return reason === null
    ? { type: "accessChanged", revision }
    : { type: "accessRefused", revision, reason };
}

function circumstances({ store, leases, time }: State, bytesMax: number): Circumstances {
  return {
    store,
    time,
    hasLease: (id) => leases.get(id) !== undefined,
    resultBytesMax: bytesMax,
  };
}

function put({ store, leases, time }: State, command: PutCommand): KvResult {
  const { key, value, contentType, extras } = command;
  const failure = conditionFailed(store, command);
  if (failure !== null) return failure;
  const lease = extras?.lease ?? null;
  if (lease !== null && leases.get(lease) === undefined) return noLease(store, lease);
  const attached = attachedOf(extras, time);
  const { revision, version, created } = store.put(key, { value, contentType, attached });
  return { type: "put", revision, version, created };
}

function conditionFailed(
  store: Store,
  { key, conditions }: PutCommand | DeleteCommand,
): KvResult | null {
  if (conditions.length === 0) return null;
  const current = store.past(key)?.revision ?? 0;
  if (conditions.every((condition) => holds(condition, current))) return null;
  return { type: "conditionFailed", revision: store.revision, current };
}

/** What is due, in the order in which it is: a key or a lease by a revision of its own. */
function expire(state: State): KvResult {
  const { store, leases, time } = state;
  dropOverdue(state);
  let count = 0;
  for (let changes = 0; changes < expiredMax && firstDueOf(state) <= time; changes++) {
    const lease = leases.dueBy(store.firstDue ?? time);
    if (lease !== null) count += end(state, lease);
    else count += store.delete(store.dueBy(time) ?? "");
  }
  const more = firstDueOf(state) <= time;
  return { type: "expired", revision: store.revision, deleted: count, more };
}

/** Ends a lease, and its keys by one revision. Returns how many these were. */
function end({ store, leases }: State, lease: LeaseId): number {
  const keys = store.keysOf(lease);
  leases.delete(lease);
  if (keys.length > 0) store.deleteAll(keys);
  return keys.length;
}

function deleted({ revision }: Store, count: number): KvResult {
  return { type: "deleted", revision, deleted: count };
}
