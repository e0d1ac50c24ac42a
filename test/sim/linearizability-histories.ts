/** Draws histories of a store that is linearizable: for each operation, when it began, when it happened, when it ended. */
import type { Condition } from "../../src/kv/command.ts";
import type { Random } from "./random.ts";
import type { Action, Item, Operation, Outcome } from "./register.ts";

export interface HistorySize {
  readonly operations: number;
  readonly clients: number;
  readonly keys: number;
  /** How many of the writes get no answer. */
  readonly unknowns: number;
}

const sizeDefault: HistorySize = { operations: 80, clients: 6, keys: 3, unknowns: 0.15 };

interface Drawn {
  readonly operation: Omit<Operation, "outcome" | "number">;
  /** Infinity: never. */
  readonly happensAt: number;
}

export function drawHistory(random: Random, size: Partial<HistorySize> = {}): Operation[] {
  const { operations, clients, keys, unknowns } = { ...sizeDefault, ...size };
  const drawn: Drawn[] = [];
  const free = Array.from({ length: clients }, () => random.below(20));
  for (let i = 0; i < operations; i++) {
    const client = random.below(clients);
    const invokedAt = free[client] ?? 0;
    const returns = invokedAt + 1 + random.below(30);
    free[client] = returns + 1 + random.below(10);
    const key = `k${random.below(keys)}`;
    const action = drawAction(random, `v${i}`);
    const isUnknown = "conditions" in action && random.chance(unknowns);
    const returnedAt = isUnknown ? Infinity : returns;
    const late = random.chance(0.4) ? Infinity : invokedAt + random.below(200);
    const happensAt = isUnknown ? late : random.between(invokedAt, returns);
    drawn.push({ operation: { client, key, invokedAt, returnedAt, action }, happensAt });
  }
  const store = new Store();
  const outcomes = new Map<Drawn, Outcome>();
  for (const one of drawn.toSorted((a, b) => a.happensAt - b.happensAt)) {
    if (one.happensAt === Infinity) continue;
    outcomes.set(one, store.run(one.operation.key, aimed(one.operation.action, store, random)));
  }
  return drawn.map((one, i) => {
    const { operation } = one;
    const outcome = outcomes.get(one);
    const action = store.actions.get(operation.action) ?? operation.action;
    const isKnown = operation.returnedAt < Infinity && outcome !== undefined;
    return {
      ...operation,
      action,
      number: i + 1,
      outcome: isKnown ? outcome : { type: "unknown" },
    };
  });

  /** Conditions name revisions that stand, at times. */
  function aimed(action: Action, at: Store, draws: Random): Action {
    if (!("conditions" in action)) return action;
    const [condition] = action.conditions;
    if (condition?.type !== "revision") return action;
    const revisions = [Math.max(0, at.revision - draws.below(3))];
    const conditions: Condition[] = [{ type: "revision", revisions }];
    const aimedAction = { ...action, conditions };
    at.actions.set(action, aimedAction);
    return aimedAction;
  }
}

function drawAction(random: Random, value: string): Action {
  const kind = random.next();
  if (kind < 0.4) return { type: "get" };
  const conditions = random.pick<Condition[]>([
    [],
    [],
    [],
    [{ type: "exists" }],
    [{ type: "absent" }],
    [{ type: "revision", revisions: [0] }],
  ]);
  if (kind < 0.75) return { type: "put", value, conditions };
  return kind < 0.8 ? { type: "become", value, version: 1 } : { type: "delete", conditions };
}

class Store {
  revision = 0;
  /** What became of actions whose conditions were aimed. */
  readonly actions = new Map<Action, Action>();
  readonly #items = new Map<string, Item & { readonly version: number }>();

  run(key: string, action: Action): Outcome {
    const item = this.#items.get(key) ?? null;
    const current = item?.revision ?? 0;
    if (action.type === "get") {
      const seen = item === null ? null : { value: item.value, revision: item.revision };
      return { type: "got", revision: this.revision, item: seen };
    }
    if (action.type === "become") {
      const { value, version } = action;
      const revision = ++this.revision;
      if (value === null) this.#items.delete(key);
      else this.#items.set(key, { value, revision, version });
      return { type: "became", revision };
    }
    if (!action.conditions.every((condition) => holds(condition, current))) {
      return { type: "conditionFailed", revision: this.revision, current };
    }
    if (action.type === "delete") {
      if (item === null) return { type: "deleted", revision: this.revision, deleted: 0 };
      this.#items.delete(key);
      return { type: "deleted", revision: ++this.revision, deleted: 1 };
    }
    const version = (item?.version ?? 0) + 1;
    const revision = ++this.revision;
    this.#items.set(key, { value: action.value, revision, version });
    return { type: "put", revision, version };
  }
}

function holds(condition: Condition, current: number): boolean {
  if (condition.type === "exists") return current !== 0;
  if (condition.type === "absent") return current === 0;
  const isNamed = current !== 0 && condition.revisions.includes(current);
  return condition.type === "revision" ? isNamed : !isNamed;
}
