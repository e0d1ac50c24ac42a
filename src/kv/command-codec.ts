/**
 * Commands as they stand in the log, as CBOR.
 *
 *     payload    := command | time command         `time` where the command depends on it, see `isTimed`
 *     time       := 0x1b, u64 big endian           milliseconds; 0 until the leader has stamped it
 *     command    := [1, "put", key, value, content type | null, conditions]
 *                 | [1, "put", key, value, content type | null, conditions, extras]
 *                 | [1, "delete", key, conditions]
 *                 | [1, "deleteRange", start, end | null]
 *                 | [1, "transaction", [check…], [operation…], [operation…]]
 *                 | [1, "batch", [[[check…], operation]…]]
 *                 | [1, "keyed", session, number, done, payload]
 *                 | [1, "as", token's id | null, payload]
 *                 | [1, "grant", ttl] | [1, "keepAlive", lease] | [1, "revoke", lease]
 *                 | [1, "expire"] | [1, "configure", revisions, bytes] | [1, "upgrade", version]
 *                 | [1, "restore", id, "begin" | "abort"] | [1, "restore", id, "piece", offset, bytes]
 *                 | [1, "restore", id, "commit", bytes, hash, hash]
 *                 | [1, "putRole", role] | [1, "deleteRole", name]         see `access/access-codec.ts`
 *                 | [1, "putToken", token, first] | [1, "deleteToken", id]
 *     conditions := [condition…]      all of them must hold
 *     condition  := ["exists"] | ["absent"] | ["revision", [revision…]] | ["notRevision", [revision…]]
 *     check      := ["exists", key, boolean] | ["revision" | "created" | "version", key, op, integer]
 *                 | ["value", key, op, bytes]
 *     extras     := [metadata | null, ttl | null, lease | null]
 *     operation  := ["put", key, value, content type | null, extras | null] | ["delete", key]
 *                 | ["deleteRange", start, end | null] | ["add", key, decimal, decimal | null, decimal | null]
 *                 | ["get", key] | ["list", start, end | null, reverse, limit, values]
 *
 * Keys and values are byte strings; a null content type is the default one, which most values have. The first item is
 * the format's version. A command of a version, type or shape that a replica doesn't know changes nothing, the same on
 * all of them; a later version may therefore be proposed only once every member knows it.
 */
import { type CborLimits, decodeCbor, encodeCbor } from "../cbor.ts";
import { checkTokenId, editItems, editOf } from "./access/access-codec.ts";
import { firstVersion } from "./cluster-version.ts";
import * as parts from "./command-parts.ts";
import {
  batchItemsMax,
  type Check,
  checksMax,
  type Command,
  commandBytesMax,
  type Condition,
  defaultContentType,
  historyBytesMax,
  isContentType,
  isSession,
  isTimed,
  type Operation,
  operationsMax,
  type PutExtras,
  rangeBytesMax,
  type RestoreCommand,
  restorePieceBytesMax,
  timeHead,
  timeMsMax,
  ttlMsMax,
  valueBytesMax,
} from "./command.ts";
import { type Key, keyToBytes } from "./key.ts";
import { decodePlainBatch, encodePlainBatch } from "./plain-batch.ts";
import { decodePlainPut, encodePlainPut } from "./plain-put.ts";

const version = 1;
const limits: CborLimits = {
  totalBytesMax: commandBytesMax,
  depthMax: 5,
  itemsMax: 128 * 1024,
  textBytesMax: 256,
  // A command within one is one.
  byteStringBytesMax: commandBytesMax,
};
const timeBytes = 9;

/** The bytes to propose; they hold a copy of the values. */
export function encodeCommand(command: Command): Uint8Array {
  if (command.type === "put" && isPlain(command)) return encodePlainPut(command);
  const batch = command.type === "batch" ? encodePlainBatch(command.items) : null;
  if (batch !== null) return batch;
  const encoded = encodeCbor([version, command.type, ...itemsOf(command)]);
  if (!isTimed(command)) return encoded;
  const bytes = new Uint8Array(timeBytes + encoded.length);
  bytes[0] = timeHead;
  bytes.set(encoded, timeBytes);
  return bytes;
}

/** Writes the leader's time, in whole milliseconds, into a command that depends on it; any other stays as it is. */
export function stampCommand(payload: Uint8Array, timeMs: number): void {
  if (payload[0] !== timeHead || payload.length <= timeBytes) return;
  new DataView(payload.buffer, payload.byteOffset).setBigUint64(1, BigInt(timeMs));
}

/** The time that was stamped into a command; 0 where it depends on none. */
export function timeOf(payload: Uint8Array): number {
  if (payload[0] !== timeHead || payload.length <= timeBytes) return 0;
  return Number(new DataView(payload.buffer, payload.byteOffset).getBigUint64(1));
}

/**
 * The command in `payload`. Values are views into it.
 * @throws {MalformedBytes} where there is none that is known here.
 */
export function decodeCommand(payload: Uint8Array): Command {
  const plain = decodePlainPut(payload) ?? decodePlainBatch(payload);
  if (plain !== null) return plain;
  const isStamped = payload[0] === timeHead;
  if (isStamped && timeOf(payload) > timeMsMax) {
    throw parts.malformed("a time beyond all bounds");
  }
  const decoded = decodeCbor(isStamped ? payload.subarray(timeBytes) : payload, limits);
  const [given, type, ...items] = Array.isArray(decoded) ? decoded : [];
  if (given !== version) throw parts.malformed("not a command of version 1");
  const command = commandOf(type, items);
  if (command === null) {
    throw parts.malformed("a command of no known type, or one of another length");
  }
  return command;
}

function isPlain({ conditions, extras, contentType }: Extract<Command, { type: "put" }>): boolean {
  return conditions.length === 0 && extras === undefined && isContentType(contentType);
}

function itemsOf(command: Command): readonly unknown[] {
  switch (command.type) {
    case "put": {
      const { key, value, contentType, conditions, extras } = command;
      const items = [
        keyToBytes(key),
        value,
        typeItem(contentType),
        conditions.map(conditionItem),
      ];
      return extras === undefined ? items : [...items, extrasItem(extras)];
    }
    case "delete":
      return [keyToBytes(command.key), command.conditions.map(conditionItem)];
    case "deleteRange":
      return rangeItems(command);
    case "transaction": {
      const { checks, then } = command;
      return [
        checks.map(checkItem),
        then.map(operationItem),
        command.else.map(operationItem),
      ];
    }
    case "batch":
      return [
        command.items.map(({ checks, operation }) => [
          checks.map(checkItem),
          operationItem(operation),
        ]),
      ];
    case "keyed":
      return [command.session, command.number, command.done, command.command];
    case "grant":
      return [command.ttlMs];
    case "keepAlive":
    case "revoke":
      return [command.lease];
    case "expire":
      return [];
    case "configure":
      return [command.history.revisionsMax, command.history.bytesMax];
    case "upgrade":
      return [command.version];
    case "restore":
      return [command.id, ...stepItems(command.step)];
    case "as":
      return [command.token, command.command];
    case "putRole":
    case "deleteRole":
    case "putToken":
    case "deleteToken":
      return editItems(command);
  }
}

function stepItems(step: RestoreCommand["step"]): readonly unknown[] {
  const { type } = step;
  if (type === "piece") return [type, step.offset, step.bytes];
  if (type === "commit") return [type, step.bytes, ...step.digest];
  return [type];
}

function typeItem(contentType: string): string | null {
  return contentType === defaultContentType ? null : contentType;
}

function extrasItem({ metadata, ttlMs, lease }: PutExtras): readonly unknown[] {
  return [metadata, ttlMs, lease];
}

function rangeItems({ start, end }: { readonly start: Key; readonly end: Key | null }): unknown[] {
  return [keyToBytes(start), end === null ? null : keyToBytes(end)];
}

function conditionItem(condition: Condition): readonly unknown[] {
  return "revisions" in condition ? [condition.type, condition.revisions] : [condition.type];
}

function checkItem(check: Check): readonly unknown[] {
  const key = keyToBytes(check.key);
  return check.type === "exists"
    ? [check.type, key, check.exists]
    : [check.type, key, check.op, check.operand];
}

function operationItem(operation: Operation): readonly unknown[] {
  const { type } = operation;
  switch (type) {
    case "put": {
      const { key, value, contentType, extras } = operation;
      const attached = extras === undefined ? null : extrasItem(extras);
      return [type, keyToBytes(key), value, typeItem(contentType), attached];
    }
    case "delete":
    case "get":
      return [type, keyToBytes(operation.key)];
    case "deleteRange":
      return [type, ...rangeItems(operation)];
    case "add": {
      const { key, delta, min, max } = operation;
      return [
        type,
        keyToBytes(key),
        String(delta),
        min?.toString() ?? null,
        max?.toString() ?? null,
      ];
    }
    case "list": {
      const { reverse, limit, values } = operation;
      return [type, ...rangeItems(operation), reverse, limit, values];
    }
  }
}

/** Null where there is no such command. @throws {MalformedBytes} where one of its items is not what it has to be. */
function commandOf(type: unknown, items: readonly unknown[]): Command | null {
  const [first, second, third, fourth, fifth] = items;
  switch (`${String(type)} ${items.length}`) {
    case "put 4":
    case "put 5":
      return {
        type: "put",
        key: parts.checkKey(first),
        value: parts.checkBytes(second, "value", valueBytesMax),
        contentType: parts.checkContentType(third),
        conditions: parts.checkConditions(fourth),
        ...(items.length === 4 ? {} : { extras: parts.checkExtras(fifth) }),
      };
    case "delete 2":
      return {
        type: "delete",
        key: parts.checkKey(first),
        conditions: parts.checkConditions(second),
      };
    case "deleteRange 2":
      return { type: "deleteRange", ...parts.checkRange(first, second, rangeBytesMax) };
    case "transaction 3":
      return {
        type: "transaction",
        checks: parts.checkList(first, checksMax, parts.checkCheck),
        then: parts.checkList(second, operationsMax, parts.checkOperation),
        else: parts.checkList(third, operationsMax, parts.checkOperation),
      };
    case "batch 1":
      return { type: "batch", items: parts.checkList(first, batchItemsMax, parts.checkBatchItem) };
    case "keyed 4":
      return keyedOf(first, second, third, fourth);
    case "grant 1":
      return { type: "grant", ttlMs: parts.checkWhole(first, 1, ttlMsMax) };
    case "keepAlive 1":
      return { type: "keepAlive", lease: parts.checkWhole(first, 1) };
    case "revoke 1":
      return { type: "revoke", lease: parts.checkWhole(first, 1) };
    case "expire 0":
      return { type: "expire" };
    case "configure 2": {
      const revisionsMax = parts.checkWhole(first, 1);
      return {
        type: "configure",
        history: { revisionsMax, bytesMax: parts.checkWhole(second, 0, historyBytesMax) },
      };
    }
    case "upgrade 1":
      return { type: "upgrade", version: parts.checkWhole(first, firstVersion) };
    case "as 2":
      return {
        type: "as",
        token: first === null ? null : checkTokenId(first),
        command: parts.checkBytes(second, "command", commandBytesMax),
      };
    case "restore 2":
    case "restore 4":
    case "restore 5":
      return restoreOf(items);
    default:
      return editOf(type, items);
  }
}

function restoreOf([id, type, ...rest]: readonly unknown[]): Command | null {
  const [first, second, third] = rest;
  if (typeof id !== "string" || !isSession(id)) throw parts.malformed("a restore without an id");
  switch (`${String(type)} ${rest.length}`) {
    case "begin 0":
    case "abort 0":
      return { type: "restore", id, step: { type: type === "begin" ? type : "abort" } };
    case "piece 2": {
      const bytes = parts.checkBytes(second, "piece", restorePieceBytesMax);
      return {
        type: "restore",
        id,
        step: { type: "piece", offset: parts.checkWhole(first, 0), bytes },
      };
    }
    case "commit 3": {
      const bytes = parts.checkWhole(first, 0);
      const digest = [parts.checkWhole(second, 0), parts.checkWhole(third, 0)] as const;
      return { type: "restore", id, step: { type: "commit", bytes, digest } };
    }
    default:
      return null;
  }
}

function keyedOf(session: unknown, number: unknown, done: unknown, command: unknown): Command {
  if (typeof session !== "string" || !isSession(session)) {
    throw parts.malformed("a session that is not one");
  }
  return {
    type: "keyed",
    session,
    number: parts.checkWhole(number, 0),
    done: parts.checkWhole(done, 0),
    command: parts.checkBytes(command, "command", commandBytesMax),
  };
}
