/** Clients' operations as requests and commands. Every write carries its operation's number, so that its effect is found. */
import { type Command, type Condition, encodeCommand } from "../../src/kv/command.ts";
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
/** No revision comes near: a condition that always holds, and says whose delete this is. */
const markFrom = 2 ** 40;

export function keyName(number: number): Key {
  return keyFromBytes(text.encode(`key/${String(number).padStart(3, "0")}`));
}

export function put(
  operation: number,
  key: Key,
  bytes: number,
  conditions: readonly Condition[],
): Command {
  const value = new Uint8Array(Math.max(8, bytes)).fill(operation & 0xff);
  new DataView(value.buffer).setFloat64(0, operation);
  return { type: "put", key, value, contentType: "application/octet-stream", conditions };
}

export function remove(operation: number, key: Key, conditions: readonly Condition[]): Command {
  const mark: Condition = { type: "notRevision", revisions: [markFrom + operation] };
  return { type: "delete", key, conditions: [...conditions.slice(0, 1), mark] };
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
      const mark = command.conditions.at(-1);
      return mark?.type === "notRevision" ? (mark.revisions[0] ?? 0) - markFrom : 0;
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
