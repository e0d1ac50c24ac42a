/** What operations came to, as answers show it. */
import type { Operation } from "../kv/command.ts";
import type { BatchItemResult, ListedItem, OperationResult } from "../kv/result.ts";
import { itemInCbor, itemInJson } from "./items.ts";
import { problemOf } from "./problem.ts";
import { refusalOfResult } from "./proposing.ts";
import type { BatchResult, ItemAnswer, OperationAnswer } from "./wire.ts";

/** How items are shown, and whether with values. */
interface Showing {
  readonly cbor: boolean;
  readonly values: boolean;
}

/** The answers of a transaction's operations, in order. @param revision the transaction's. */
export function operationAnswers(
  operations: readonly Operation[],
  { results, revision, cbor }: {
    readonly results: readonly OperationResult[];
    readonly revision: number;
    readonly cbor: boolean;
  },
): readonly OperationAnswer[] {
  return results.map((result, at): OperationAnswer => {
    const showing = { cbor, values: hasValues(operations[at]) };
    switch (result.type) {
      case "put":
        return { revision, version: result.version };
      case "deleted":
        return { deleted: result.deleted };
      case "added":
        return { revision, version: result.version, value: String(result.value) };
      case "got":
        return { item: result.item === null ? null : shown(result.item, showing) };
      case "listed":
        return { items: result.items.map((item) => shown(item, showing)), more: result.more };
    }
  });
}

/** The answer of one operation of a batch. */
export function batchAnswer(
  operation: Operation | undefined,
  result: BatchItemResult,
  cbor: boolean,
): BatchResult {
  const { revision } = result;
  const showing = { cbor, values: hasValues(operation) };
  switch (result.type) {
    case "put": {
      const { version } = result;
      return { status: version === 1 ? 201 : 200, revision, version };
    }
    case "deleted":
      return { status: 200, revision, deleted: result.deleted };
    case "added":
      return { status: 200, revision, version: result.version, value: String(result.value) };
    case "got":
      return result.item === null
        ? { status: 404, code: "not_found", detail: "the key is absent", revision }
        : { status: 200, revision, item: shown(result.item, showing) };
    case "listed": {
      const items = result.items.map((item) => shown(item, showing));
      return { status: 200, revision, items, more: result.more };
    }
    case "conditionFailed":
    case "noLease":
    case "notInteger":
    case "tooMuch": {
      const { body } = problemOf(refusalOfResult(result), "POST");
      const { status, code, detail, outcome, limit } = body;
      const current = body.revision ?? null;
      return {
        status,
        code,
        detail,
        outcome,
        revision: current,
        ...(limit === undefined ? {} : { limit }),
      };
    }
  }
}

function hasValues(operation: Operation | undefined): boolean {
  return operation?.type !== "list" || operation.values;
}

function shown(item: ListedItem, { cbor, values }: Showing): ItemAnswer {
  const value = values ? item.value : null;
  return cbor ? itemInCbor(item.key, item, value) : itemInJson(item.key, item, value);
}
