/**
 * Whether a whole history, all keys together, agrees with the order that the store's revisions give it. Nearly linear
 * in time, and enough to find most of what can be wrong: each change has a revision of its own; revisions respect real
 * time; a read has exactly what its revision says; nothing that was called not applied is ever seen.
 */
import type { Item, Operation, Outcome, Value } from "./register.ts";

export interface Flaw {
  readonly key: string;
  readonly reason: string;
}

/** A change whose revision is known. A null value: deleted. */
interface Change {
  readonly revision: number;
  readonly value: Value | null;
}

/** The first flaw, or null. */
export function revisionFlaw(operations: readonly Operation[]): Flaw | null {
  const placed = place(operations);
  return doubledRevision(placed) ?? realTimeFlaw(placed) ?? observationFlaw(placed);
}

/**
 * A put of unknown fate whose value was seen did take effect: at the revision that it was seen at, before the first who
 * saw it had ended. Only where no other put carries that value.
 */
export function place(operations: readonly Operation[]): Operation[] {
  const puts = new Map<string, Operation[]>();
  for (const operation of operations) {
    if (operation.action.type !== "put") continue;
    const name = nameOf(operation.key, operation.action.value);
    const same = puts.get(name);
    if (same === undefined) puts.set(name, [operation]);
    else same.push(operation);
  }
  const found = new Map<Operation, { readonly revision: number; readonly at: number }>();
  for (const { key, outcome, returnedAt } of operations) {
    if (outcome.type !== "got" || outcome.item === null) continue;
    const [put, other] = puts.get(nameOf(key, outcome.item.value)) ?? [];
    if (put?.outcome.type !== "unknown" || other !== undefined) continue;
    const { revision } = outcome.item;
    const at = Math.min(returnedAt, found.get(put)?.at ?? Infinity);
    found.set(put, { revision, at });
  }
  return operations.map((operation) => {
    const seen = found.get(operation);
    if (seen === undefined) return operation;
    const outcome = { type: "put", revision: seen.revision, version: null } as const;
    return { ...operation, returnedAt: seen.at, outcome };
  });
}

function nameOf(key: string, value: Value): string {
  return `${typeof value} ${value} ${key}`;
}

/** The revisions whose changes are known. */
export function takenRevisions(operations: readonly Operation[]): Set<number> {
  const placed = place(operations).map(({ outcome }) => changeOf(outcome));
  return new Set(placed.filter((revision) => revision !== null));
}

/** The revision that an outcome gave to a change, or null where it changed nothing. */
function changeOf(outcome: Outcome): number | null {
  if (outcome.type === "put" || outcome.type === "became") return outcome.revision;
  return outcome.type === "deleted" && outcome.deleted !== 0 ? outcome.revision : null;
}

function doubledRevision(operations: readonly Operation[]): Flaw | null {
  const owners = new Map<number, number>();
  for (const { key, number, outcome } of operations) {
    const revision = changeOf(outcome);
    if (revision === null) continue;
    const owner = owners.get(revision);
    if (owner !== undefined && owner !== number) {
      return { key, reason: `operations ${owner} and ${number} both have revision ${revision}` };
    }
    owners.set(revision, number);
  }
  return null;
}

/** What began after another had ended doesn't get less than it, and as a change gets more. */
function realTimeFlaw(operations: readonly Operation[]): Flaw | null {
  const known = operations.flatMap((operation) => {
    const { outcome } = operation;
    return outcome.type === "unknown" || outcome.type === "notApplied"
      ? []
      : [{ operation, revision: outcome.revision, isChange: changeOf(outcome) !== null }];
  });
  const byReturn = known.toSorted((a, b) => a.operation.returnedAt - b.operation.returnedAt);
  let ended = 0;
  let floor = 0;
  let whose = 0;
  for (
    const { operation, revision, isChange } of known.toSorted((a, b) =>
      a.operation.invokedAt - b.operation.invokedAt
    )
  ) {
    const { key, number, invokedAt } = operation;
    for (; (byReturn[ended]?.operation.returnedAt ?? Infinity) < invokedAt; ended++) {
      const earlier = byReturn[ended];
      if (earlier === undefined || earlier.revision <= floor) continue;
      floor = earlier.revision;
      whose = earlier.operation.number;
    }
    if (isChange ? revision > floor : revision >= floor) continue;
    const reason =
      `operation ${number} got revision ${revision}, and operation ${whose} had ended with ${floor} before`;
    return { key, reason };
  }
  return null;
}

/** Whoever tells what a key held, at which revision, tells what was put there last. */
function observationFlaw(operations: readonly Operation[]): Flaw | null {
  for (const [key, ofKey] of Map.groupBy(operations, (operation) => operation.key)) {
    const changes = changesOf(ofKey);
    for (const operation of ofKey) {
      const reason = wrongObservation(operation, ofKey, changes);
      if (reason !== null) {
        return { key, reason: `operation ${operation.number} ${reason}` };
      }
    }
  }
  return null;
}

/** In order of their revisions. */
function changesOf(operations: readonly Operation[]): Change[] {
  return operations.flatMap(({ action, outcome }): Change[] => {
    const revision = changeOf(outcome);
    if (revision === null) return [];
    return [{ revision, value: "value" in action ? action.value : null }];
  }).sort((a, b) => a.revision - b.revision);
}

function wrongObservation(
  { outcome, returnedAt }: Operation,
  ofKey: readonly Operation[],
  changes: readonly Change[],
): string | null {
  if (outcome.type !== "got" && outcome.type !== "conditionFailed") return null;
  const seen = observed(outcome);
  const last = lastUpTo(changes, outcome.revision);
  if (seen === null) {
    if (last === null || last.value === null || mayBeDeleted(ofKey, returnedAt)) return null;
    return `found nothing at revision ${outcome.revision}, and ${last.value} was put at ${last.revision}`;
  }
  if (seen.revision > outcome.revision) return `saw ${seen.revision} at ${outcome.revision}`;
  if (last !== null && last.revision > seen.revision) {
    return `saw what was put at ${seen.revision}, at revision ${outcome.revision}, and ${last.revision} had changed it`;
  }
  if (last?.revision === seen.revision) {
    const isSame = last.value !== null && (seen.value === null || seen.value === last.value);
    return isSame ? null : `saw ${seen.value} at ${seen.revision}, which made it ${last.value}`;
  }
  return mayBePut(ofKey, seen.value, returnedAt)
    ? null
    : `saw ${seen.value} at ${seen.revision}, and nobody wrote that there`;
}

/** What an answer says of the key; the value is null where it doesn't say. */
function observed(
  outcome: Extract<Outcome, { type: "got" | "conditionFailed" }>,
): Item | { readonly value: null; readonly revision: number } | null {
  if (outcome.type === "got") return outcome.item;
  return outcome.current === 0 ? null : { value: null, revision: outcome.current };
}

function lastUpTo(changes: readonly Change[], revision: number): Change | null {
  let low = 0;
  let high = changes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((changes[middle]?.revision ?? Infinity) <= revision) low = middle + 1;
    else high = middle;
  }
  return changes[low - 1] ?? null;
}

function mayBeDeleted(ofKey: readonly Operation[], before: number): boolean {
  return ofKey.some(({ action, outcome, invokedAt }) =>
    action.type === "delete" && outcome.type === "unknown" && invokedAt <= before
  );
}

function mayBePut(ofKey: readonly Operation[], value: Value | null, before: number): boolean {
  return ofKey.some(({ action, outcome, invokedAt }) =>
    action.type === "put" && outcome.type === "unknown" && invokedAt <= before &&
    (value === null || action.value === value)
  );
}
