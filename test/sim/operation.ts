/**
 * Clients' operations as requests and commands. Whose a command in the log is can be told from it: it carries its
 * operation's number where it has room for one, or it is keyed.
 */
import { crc32 } from "node:zlib";
import {
  type BatchItem,
  type Check,
  type Command,
  type Condition,
  conditionsMax,
  type Operation,
  type PutExtras,
} from "../../src/kv/command.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import { type Key, keyFromBytes } from "../../src/kv/key.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { Value } from "./register.ts";

export type Consistency = "linearizable" | "lease" | "stale";

/** A read of the past has a `revision`; the present is null. */
export type Request =
  | { readonly type: "write"; readonly command: Command }
  | {
    readonly type: "get";
    readonly key: Key;
    readonly consistency: Consistency;
    readonly revision: number | null;
  }
  | {
    readonly type: "list";
    readonly start: Key;
    readonly end: Key | null;
    /** Items at most. */
    readonly limit: number;
    readonly consistency: Consistency;
    readonly revision: number | null;
  };

/** An item as a client compares it. */
export interface SeenItem {
  readonly key: Key;
  readonly revision: number;
  readonly version: number;
  readonly crc: number;
  readonly contentType: string;
  readonly metadata: string | null;
  readonly lease: number | null;
  /** What was written there; see {@link writtenBy}. */
  readonly value: Value;
}

export type Response =
  /** Applied at `index`. */
  | { readonly type: "written"; readonly result: KvResult; readonly index: number }
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
  /** The past isn't kept so far back: the state at `floor` is the oldest that is. The present is `revision`. */
  | { readonly type: "compacted"; readonly floor: number; readonly revision: number }
  /** Nothing was changed and nothing will be. */
  | { readonly type: "notApplied"; readonly reason: string }
  | { readonly type: "unknown" };

const text = new TextEncoder();
/** No revision comes near: named among a condition's revisions, it changes nothing and says whose delete this is. */
const markFrom = 2 ** 40;
/** Values that one operation may put. */
const valuesMax = 4096;

export function keyName(number: number): Key {
  return keyFromBytes(text.encode(`key/${String(number).padStart(3, "0")}`));
}

/** `bytes` of a value that tells which operation's it is, and which of those that the operation puts. */
export function valueOf(operation: number, bytes: number, which: number = 0): Uint8Array {
  const value = new Uint8Array(Math.max(8, bytes)).fill(operation & 0xff);
  new DataView(value.buffer).setFloat64(0, operation + which / valuesMax);
  return value;
}

export function put(
  operation: number,
  key: Key,
  { bytes, contentType, conditions, extras }: {
    readonly bytes: number;
    readonly contentType: string;
    readonly conditions: readonly Condition[];
    readonly extras?: PutExtras;
  },
): Command {
  const value = valueOf(operation, bytes);
  const plain = { type: "put", key, value, contentType, conditions } as const;
  return extras === undefined ? plain : { ...plain, extras };
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

/** Marked by a check that holds whatever there is, behind its own. */
export function transaction(
  operation: number,
  parts: {
    readonly checks: readonly Check[];
    readonly then: readonly Operation[];
    readonly else: readonly Operation[];
  },
): Command {
  return { ...parts, type: "transaction", checks: [...parts.checks, markOf(operation)] };
}

/** Marked in its first item, as a transaction is. */
export function batch(operation: number, items: readonly BatchItem[]): Command {
  const marked = items.map((item, i) =>
    i === 0 ? { ...item, checks: [...item.checks, markOf(operation)] } : item
  );
  return { type: "batch", items: marked };
}

function markOf(operation: number): Check {
  return { type: "revision", key: keyName(0), op: "!=", operand: markFrom + operation };
}

export function commandBytes(command: Command): Uint8Array {
  return encodeCommand(command);
}

/** What was written: the number of the put, with a fraction where it is one of several, or an added-up number's text. */
export function writtenBy(value: Uint8Array): Value {
  const first = value[0] ?? 0;
  // No operation's number begins with a digit or a sign.
  const isText = first === 0x2d || (first >= 0x30 && first <= 0x39);
  if (isText || value.length < 8) return new TextDecoder().decode(value);
  return new DataView(value.buffer, value.byteOffset).getFloat64(0);
}

/** What tells a write from all others: two commands of one identity are the same request, asked once or again. */
export function identityOf(command: Command): string | null {
  switch (command.type) {
    case "put":
      return `#${Math.floor(Number(writtenBy(command.value)))}`;
    case "delete": {
      const named = command.conditions.flatMap((one) => "revisions" in one ? one.revisions : []);
      return `#${Math.max(markFrom, ...named) - markFrom}`;
    }
    case "deleteRange":
      return `#${command.end?.split("\0")[1] ?? 0}`;
    case "transaction":
      return markIn(command.checks);
    case "batch":
      return markIn(command.items[0]?.checks ?? []);
    case "keyed":
      return `${command.session}/${command.number}/${crc32(command.command)}`;
    case "grant":
      return `grant ${command.ttlMs}`;
    case "keepAlive":
    case "revoke":
      return `${command.type} ${command.lease}`;
    case "expire":
    case "configure":
    case "upgrade":
    case "restore":
    case "as":
    case "putRole":
    case "deleteRole":
    case "putToken":
    case "deleteToken":
      return null;
  }
}

function markIn(checks: readonly Check[]): string {
  const mark = checks.at(-1);
  return `#${mark?.type === "revision" ? mark.operand - markFrom : 0}`;
}

export function requestText(request: Request): string {
  switch (request.type) {
    case "write":
      return commandText(request.command);
    case "get":
      return `get ${request.key}${atText(request.revision)} ${request.consistency}`;
    case "list":
      return `list ${request.start}…${atText(request.revision)} ${request.consistency}`;
  }
}

function atText(revision: number | null): string {
  return revision === null ? "" : ` at ${revision}`;
}

function commandText(command: Command): string {
  switch (command.type) {
    case "put":
    case "delete": {
      const conditions = command.conditions.map((condition) =>
        "revisions" in condition
          ? `${condition.type} ${condition.revisions.join()}`
          : condition.type
      );
      return `${command.type} ${command.key} ${conditions.join(", ")}`;
    }
    case "deleteRange":
      return `delete ${command.start}…`;
    case "transaction":
      return `transaction ${command.checks.length}: ${opsText(command.then)} else ${
        opsText(command.else)
      }`;
    case "batch":
      return `batch ${opsText(command.items.map(({ operation }) => operation))}`;
    case "keyed":
      return `keyed ${command.session}/${command.number}, done ${command.done}`;
    case "grant":
      return `grant ${command.ttlMs}`;
    case "keepAlive":
    case "revoke":
      return `${command.type} ${command.lease}`;
    case "expire":
    case "configure":
    case "upgrade":
    case "restore":
    case "as":
    case "putRole":
    case "deleteRole":
    case "putToken":
    case "deleteToken":
      return command.type;
  }
}

function opsText(operations: readonly Operation[]): string {
  return operations.map((one) => `${one.type} ${"key" in one ? one.key : `${one.start}…`}`).join(
    ", ",
  );
}
