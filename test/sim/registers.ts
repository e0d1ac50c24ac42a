/** A run's history as the linearizability checker takes it: operations on several keys as one part for each key. */
import type { Key } from "../../src/kv/key.ts";
import type { Operation } from "./history.ts";
import { keyName, type Request, type Response, unmarked } from "./operation.ts";
import type { Action, Operation as Part, Outcome } from "./register.ts";

/** Stale reads promise nothing that the checker looks at, and are left out. `keys` is how many the clients use. */
export function asRegisters(operations: readonly Operation[], keys: number): Part[] {
  const names = Array.from({ length: keys }, (_, i) => keyName(i));
  const parts: Part[] = [];
  for (const operation of operations) {
    const { request, number, client, invokedAt, completedAt } = operation;
    if (request.type !== "write" && request.consistency === "stale") continue;
    const response = operation.response ?? { type: "unknown" };
    const returnedAt = response.type === "unknown" ? Infinity : completedAt ?? Infinity;
    for (const key of keysOf(request, names)) {
      parts.push({
        number,
        client,
        key,
        invokedAt,
        returnedAt,
        action: actionOf(request, number),
        outcome: outcomeOf(response, key),
      });
    }
  }
  return parts;
}

function keysOf(request: Request, names: readonly Key[]): readonly Key[] {
  if (request.type === "get") return [request.key];
  if (request.type === "write" && request.command.type !== "deleteRange") {
    return [request.command.key];
  }
  const { start, end } = request.type === "list" ? request : rangeOf(request);
  return names.filter((key) => key >= start && (end === null || key < end));
}

function rangeOf({ command }: Extract<Request, { type: "write" }>): {
  readonly start: Key;
  readonly end: Key | null;
} {
  return command.type === "deleteRange" ? command : { start: command.key, end: null };
}

function actionOf(request: Request, number: number): Action {
  if (request.type !== "write") return { type: "get" };
  const { command } = request;
  switch (command.type) {
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
    case "read": {
      const item = response.items.find((each) => each.key === key);
      const { revision } = response;
      if (item === undefined) return { type: "got", revision, item: null };
      return { type: "got", revision, item: { value: item.value, revision: item.revision } };
    }
    case "written": {
      const { result } = response;
      const { revision } = result;
      switch (result.type) {
        case "put":
          return { type: "put", revision, version: result.version };
        case "deleted":
          return { type: "deleted", revision, deleted: result.deleted === 0 ? 0 : null };
        case "conditionFailed":
          return { type: "conditionFailed", revision, current: result.current };
        case "malformed":
          return { type: "unknown" };
      }
    }
  }
}
