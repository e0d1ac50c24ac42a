/** Clients' operations as requests and commands. Every write carries its operation's number, so that its effect is found. */
import {
  type Command,
  type Condition,
  conditionsMax,
  encodeCommand,
} from "../../src/kv/command.ts";
import { type Key, keyFromBytes } from "../../src/kv/key.ts";
import type { KvResult } from "../../src/kv/result.ts";

export type Consistency = "linearizable" | "lease" | "stale";

export type Request =
  | { readonly type: "write"; readonly command: Command }
  | { readonly type: "get"; readonly key: Key; readonly consistency: Consistency }
  | {
    readonly type: "list";
    readonly start: Key;
    readonly end: Key | null;
    readonly consistency: Consistency;
  };

/** An item as a client compares it. */
export interface SeenItem {
  readonly key: Key;
  readonly revision: number;
  readonly crc: number;
  readonly contentType: string;
  /** The number of the put that wrote it. */
  readonly value: number;
}

export type Response =
  | { readonly type: "written"; readonly result: KvResult }
  | {
    readonly type: "read";
    readonly revision: number;
    readonly items: readonly SeenItem[];
    readonly stalenessMs: number | null;
    /** When the node answered, in microseconds. */
    readonly at: number;
    /** Whether that node did not lead. */
    readonly follows: boolean;
  }
  /** Nothing was changed and nothing will be. */
  | { readonly type: "notApplied"; readonly reason: string }
  | { readonly type: "unknown" };

const text = new TextEncoder();
/** No revision comes near: named among a condition's revisions, it changes nothing and says whose delete this is. */
const markFrom = 2 ** 40;

export function keyName(number: number): Key {
  return keyFromBytes(text.encode(`key/${String(number).padStart(3, "0")}`));
}

/** `bytes` of a value that tells whose it is. */
export function put(
  operation: number,
  key: Key,
  { bytes, contentType, conditions }: {
    readonly bytes: number;
    readonly contentType: string;
    readonly conditions: readonly Condition[];
  },
): Command {
  const value = new Uint8Array(Math.max(8, bytes)).fill(operation & 0xff);
  new DataView(value.buffer).setFloat64(0, operation);
  return { type: "put", key, value, contentType, conditions };
}

/** Marked in the last of its conditions that names revisions, or in one of its own. */
export function remove(operation: number, key: Key, conditions: readonly Condition[]): Command {
  const mark = markFrom + operation;
  const at = conditions.findLastIndex((condition) => "revisions" in condition);
  if (at < 0) {
    const own: Condition = { type: "notRevision", revisions: [mark] };
    return { type: "delete", key, conditions: [...conditions.slice(0, conditionsMax - 1), own] };
  }
  const marked = conditions.map((condition, i) =>
    i === at && "revisions" in condition
      ? { ...condition, revisions: [...condition.revisions, mark] }
      : condition
  );
  return { type: "delete", key, conditions: marked };
}

/** Conditions without a mark, and without one that is nothing but a mark. */
export function unmarked(conditions: readonly Condition[]): readonly Condition[] {
  return conditions.flatMap((condition) => {
    if (!("revisions" in condition) || condition.revisions.every((each) => each < markFrom)) {
      return [condition];
    }
    const revisions = condition.revisions.filter((each) => each < markFrom);
    return revisions.length === 0 && condition.type === "notRevision"
      ? []
      : [{ ...condition, revisions }];
  });
}

/** Deletes from `start` to right behind `last`. */
export function removeRange(operation: number, start: Key, last: Key): Command {
  return { type: "deleteRange", start, end: `${last}\0${operation}` };
}

export function commandBytes(command: Command): Uint8Array {
  return encodeCommand(command);
}

/** The number of the put that wrote a value. */
export function writerOf(value: Uint8Array): number {
  return new DataView(value.buffer, value.byteOffset).getFloat64(0);
}

/** Whose write a command is. */
export function operationOf(command: Command): number {
  switch (command.type) {
    case "put":
      return writerOf(command.value);
    case "delete": {
      const named = command.conditions.flatMap((one) => "revisions" in one ? one.revisions : []);
      return Math.max(markFrom, ...named) - markFrom;
    }
    case "deleteRange":
      return Number(command.end?.split("\0")[1] ?? 0);
  }
}

export function requestText(request: Request): string {
  switch (request.type) {
    case "write": {
      const { command } = request;
      if (command.type === "deleteRange") return `delete ${command.start}…`;
      const conditions = command.conditions.map((condition) =>
        "revisions" in condition
          ? `${condition.type} ${condition.revisions.join()}`
          : condition.type
      );
      return `${command.type} ${command.key} ${conditions.join(", ")}`;
    }
    case "get":
      return `get ${request.key} ${request.consistency}`;
    case "list":
      return `list ${request.start}… ${request.consistency}`;
  }
}
