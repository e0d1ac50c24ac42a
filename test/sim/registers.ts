/**
 * A run's history as the linearizability checker takes it: operations on several keys as one part for each key. Plain
 * writes are what the clients say. What is larger (transactions, batches, keyed commands, the ends of leases) is taken
 * as the changes that it made where it stands in the log: that these are right, others say.
 */
import type { Command } from "../../src/kv/command.ts";
import type { Key } from "../../src/kv/key.ts";
import type { Operation } from "./history.ts";
import { type Request, type Response, unmarked, writtenBy } from "./operation.ts";
import type { Effect, Reference } from "./reference.ts";
import type { Action, Operation as Part, Outcome } from "./register.ts";

type Plain = Extract<Command, { type: "put" | "delete" | "deleteRange" }>;

/** Whose changes something made, and when somebody may have seen them first. */
type Span = Pick<Part, "number" | "client" | "invokedAt" | "returnedAt">;

/** Stale reads, and those of the past, promise nothing that the checker looks at, and are left out. */
export function asRegisters(operations: readonly Operation[], reference: Reference): Part[] {
  const { keys, own } = reference;
  const parts: Part[] = [];
  const larger = new Map<string, Operation[]>();
  for (const operation of operations) {
    const { request, identity } = operation;
    const isPlain = request.type !== "write" || plainOf(request.command) !== null;
    if (isPlain) parts.push(...plainParts(operation, keys));
    else if (identity !== null) {
      const same = larger.get(identity);
      if (same === undefined) larger.set(identity, [operation]);
      else same.push(operation);
    }
  }
  for (const [identity, asked] of larger) {
    for (const [i, effect] of reference.effects(identity).entries()) {
      parts.push(...changeParts(reference, effect, spanOf(asked, effect, i)));
    }
  }
  for (const effect of own) {
    const span = { number: -effect.index, client: 0, invokedAt: 0, returnedAt: Infinity };
    parts.push(...changeParts(reference, effect, span));
  }
  return parts;
}

function plainOf(command: Command): Plain | null {
  switch (command.type) {
    case "put":
    case "delete":
    case "deleteRange":
      return command;
    default:
      return null;
  }
}

/** From when it was first asked for to when anybody first had an answer that comes from it. */
function spanOf(asked: readonly Operation[], effect: Effect, which: number): Span {
  const { number, client, invokedAt } = asked[0] ?? {
    number: -effect.index,
    client: 0,
    invokedAt: 0,
  };
  const answered = asked.flatMap(({ response, completedAt }) =>
    response?.type === "written" && response.index >= effect.index ? [completedAt ?? Infinity] : []
  );
  return {
    number: which === 0 ? number : -effect.index,
    client,
    invokedAt,
    returnedAt: Math.min(Infinity, ...answered),
  };
}

function changeParts(
  { model }: Reference,
  { before, revision: last }: Effect,
  span: Span,
): Part[] {
  const parts: Part[] = [];
  for (let revision = before + 1; revision <= last; revision++) {
    for (const { key, item } of model.changes(revision)) {
      const value = item === null ? null : writtenBy(item.value);
      const action: Action = { type: "become", value, version: item?.version ?? 0 };
      parts.push({ ...span, key, action, outcome: { type: "became", revision } });
    }
  }
  return parts;
}

function plainParts(operation: Operation, names: readonly Key[]): Part[] {
  const { request, number, client, invokedAt, completedAt } = operation;
  const isRead = request.type !== "write";
  if (isRead && (request.consistency === "stale" || request.revision !== null)) return [];
  const response = operation.response ?? { type: "unknown" };
  const returnedAt = response.type === "unknown" ? Infinity : completedAt ?? Infinity;
  return keysOf(request, response, names).map((key) => ({
    number,
    client,
    key,
    invokedAt,
    returnedAt,
    action: actionOf(request, number),
    outcome: outcomeOf(response, key),
  }));
}

function keysOf(request: Request, response: Response, names: readonly Key[]): readonly Key[] {
  if (request.type === "get") return [request.key];
  if (request.type === "write") {
    const plain = plainOf(request.command);
    if (plain === null) return [];
    return plain.type === "deleteRange" ? between(names, plain.start, plain.end) : [plain.key];
  }
  const { start, end, limit } = request;
  // A page says nothing of what is behind it.
  const isCut = response.type === "read" && response.items.length === limit;
  const last = isCut ? response.items.at(-1)?.key : undefined;
  return between(names, start, last === undefined ? end : `${last}\0`);
}

function between(names: readonly Key[], start: Key, end: Key | null): readonly Key[] {
  return names.filter((key) => key >= start && (end === null || key < end));
}

function actionOf(request: Request, number: number): Action {
  const command = request.type === "write" ? plainOf(request.command) : null;
  switch (command?.type) {
    case undefined:
      return { type: "get" };
    case "put":
      return { type: "put", value: number, conditions: command.conditions };
    case "delete":
      return { type: "delete", conditions: unmarked(command.conditions) };
    case "deleteRange":
      return { type: "delete", conditions: [] };
  }
}

function outcomeOf(response: Response, key: Key): Outcome {
  switch (response.type) {
    case "unknown":
    case "notApplied":
      return { type: response.type };
    case "compacted":
      return { type: "unknown" };
    case "read": {
      const item = response.items.find((each) => each.key === key);
      const { revision } = response;
      if (item === undefined) return { type: "got", revision, item: null };
      return { type: "got", revision, item: { value: item.value, revision: item.revision } };
    }
    case "written":
      return outcomeOfResult(response.result);
  }
}

function outcomeOfResult(
  result: Extract<Response, { type: "written" }>["result"],
): Outcome {
  const { revision } = result;
  switch (result.type) {
    case "put":
      return { type: "put", revision, version: result.version };
    case "deleted":
      return { type: "deleted", revision, deleted: result.deleted === 0 ? 0 : null };
    case "conditionFailed":
      return { type: "conditionFailed", revision, current: result.current ?? 0 };
    case "noLease":
      return { type: "notApplied" };
    default:
      return { type: "unknown" };
  }
}
