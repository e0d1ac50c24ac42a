/**
 * The sequential model of one key: what it holds, and what each operation does to that and may answer. Operations on
 * several keys (lists, range deletes) are given as one part for each key, all of the same number.
 */
import type { Condition } from "../../src/kv/command.ts";
import { conditionHolds } from "./model-operations.ts";

export type Value = string | number;

export type Action =
  | { readonly type: "put"; readonly value: Value; readonly conditions: readonly Condition[] }
  | { readonly type: "delete"; readonly conditions: readonly Condition[] }
  /** A linearizable read. */
  | { readonly type: "get" }
  /** What something larger made of the key, which is known: null is absent. */
  | { readonly type: "become"; readonly value: Value | null; readonly version: number };

/** `revision` is the store's, which the answer reflects. */
export type Outcome =
  /** It may take effect at any time after its invocation, or never. */
  | { readonly type: "unknown" }
  /** It had no effect and never will. */
  | { readonly type: "notApplied" }
  /** `version` null: the answer did not say. */
  | { readonly type: "put"; readonly revision: number; readonly version: number | null }
  /** `deleted` null: a part of a range delete that deleted something, here or elsewhere. */
  | { readonly type: "deleted"; readonly revision: number; readonly deleted: 0 | 1 | null }
  /** `current` is the key's revision, 0 where it is absent. */
  | { readonly type: "conditionFailed"; readonly revision: number; readonly current: number }
  | { readonly type: "got"; readonly revision: number; readonly item: Item | null }
  | { readonly type: "became"; readonly revision: number };

export interface Item {
  readonly value: Value;
  readonly revision: number;
}

export interface Operation {
  readonly number: number;
  readonly client: number;
  readonly key: string;
  readonly invokedAt: number;
  /** Infinity where no answer came. */
  readonly returnedAt: number;
  readonly action: Action;
  readonly outcome: Outcome;
}

export interface Register {
  /** Null where the key is absent. */
  readonly value: Value | null;
  /** The key's revision; where a write without an answer gave it, the least that it can be. 0 where it is absent. */
  readonly revision: number;
  readonly isExact: boolean;
  readonly version: number;
  /** The store's revision is at least this. */
  readonly floor: number;
}

export const absent: Register = {
  value: null,
  revision: 0,
  isExact: true,
  version: 0,
  floor: 0,
};

/**
 * The register after `operation`, or null where it could not have gone, or answered, like this.
 * @param next the least revision that a change without an answer can have got.
 */
export function step(
  register: Register,
  { action, outcome }: Pick<Operation, "action" | "outcome">,
  next: number = register.floor + 1,
): Register | null {
  switch (outcome.type) {
    case "notApplied":
      return null;
    case "unknown":
      return takeEffect(register, action, next, "inexact");
    case "put": {
      const { revision, version } = outcome;
      if (action.type !== "put" || revision <= register.floor) return null;
      if (version !== null && version !== register.version + 1) return null;
      return takeEffect(register, action, revision, "exact");
    }
    case "deleted": {
      const { revision, deleted } = outcome;
      if (action.type !== "delete" || !mayHold(register, action.conditions)) return null;
      const isHere = register.value !== null;
      if (deleted !== null && isHere !== (deleted === 1)) return null;
      const isChange = deleted !== 0;
      if (isChange ? revision <= register.floor : revision < register.floor) return null;
      return { ...absent, floor: revision };
    }
    case "conditionFailed": {
      const { revision, current } = outcome;
      if (!("conditions" in action)) return null;
      const seen = current === 0
        ? register.value === null ? register : null
        : observe(register, current);
      if (seen === null || revision < register.floor || current > revision) return null;
      return holdAll(action.conditions, current) ? null : { ...seen, floor: revision };
    }
    case "got": {
      const { revision, item } = outcome;
      if (action.type !== "get" || revision < register.floor) return null;
      if (item === null) return register.value === null ? { ...register, floor: revision } : null;
      if (register.value !== item.value || item.revision > revision) return null;
      const seen = observe(register, item.revision);
      return seen === null ? null : { ...seen, floor: revision };
    }
    case "became": {
      const { revision } = outcome;
      if (action.type !== "become" || revision <= register.floor) return null;
      const { value, version } = action;
      if (value === null) return register.value === null ? null : { ...absent, floor: revision };
      return { value, revision, isExact: true, version, floor: revision };
    }
  }
}

/** A write changes something here, at `revision` (or some later one). */
function takeEffect(
  register: Register,
  action: Action,
  revision: number,
  exactness: "exact" | "inexact",
): Register | null {
  if (!("conditions" in action) || !mayHold(register, action.conditions)) return null;
  if (action.type === "delete") {
    return register.value === null ? null : { ...absent, floor: revision };
  }
  const { value } = action;
  const isExact = exactness === "exact";
  return { value, revision, isExact, version: register.version + 1, floor: revision };
}

/** The key is there, at exactly `revision`. */
function observe(register: Register, revision: number): Register | null {
  if (register.value === null || revision < register.revision) return null;
  if (register.isExact) return revision === register.revision ? register : null;
  return { ...register, revision, isExact: true };
}

/** Whether the conditions hold at some revision that the key may be at. */
function mayHold(register: Register, conditions: readonly Condition[]): boolean {
  if (conditions.length === 0) return true;
  const { value, revision, isExact } = register;
  if (value === null) return holdAll(conditions, 0);
  if (isExact) return holdAll(conditions, revision);
  const named = conditions.flatMap((one) => "revisions" in one ? one.revisions : []);
  const unnamed = Math.max(revision, ...named) + 1;
  return [...named, unnamed].some((each) => each >= revision && holdAll(conditions, each));
}

function holdAll(conditions: readonly Condition[], current: number): boolean {
  return conditions.every((condition) => conditionHolds(condition, current));
}
