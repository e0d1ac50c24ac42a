/** Commands as `/v1/log` shows them: text as text, other bytes as `{"base64"}`, large values and long lists by their size. */
import { MalformedBytes } from "../errors.ts";
import type { Role } from "../kv/access/grant.ts";
import type { BatchItem, Check, Command, Operation, PutExtras } from "../kv/command.ts";
import { decodeCommand, timeOf } from "../kv/command-codec.ts";
import type { Key } from "../kv/key.ts";
import type { LogEntry } from "./exchange.ts";
import { base64Of, textOf, textOfKey } from "./text.ts";

/** Of a list so many are shown, beside how many they are. */
const shownMax = 16;

/** @param valueBytesMax larger values are left out. */
export function commandShown(payload: Uint8Array, valueBytesMax: number): object {
  const command = commandIn(payload);
  const time = timeOf(payload);
  return { ...shown(command, valueBytesMax), ...(time === 0 ? {} : { time }) };
}

/** What a replica takes `payload` for. */
type Found = Command | { readonly type: "malformed"; readonly detail: string };

function commandIn(payload: Uint8Array): Found {
  try {
    return decodeCommand(payload);
  } catch (error) {
    if (error instanceof MalformedBytes) return { type: "malformed", detail: error.message };
    throw error;
  }
}

function shown(command: Found, valueBytesMax: number): object {
  const { type } = command;
  switch (type) {
    case "put":
    case "delete":
      return { ...operationShown(command, valueBytesMax), conditions: command.conditions };
    case "deleteRange":
      return operationShown(command, valueBytesMax);
    case "transaction": {
      const operation = (each: Operation) => operationShown(each, valueBytesMax);
      return {
        type,
        if: listShown(command.checks, (check) => checkShown(check, valueBytesMax)),
        then: listShown(command.then, operation),
        else: listShown(command.else, operation),
      };
    }
    case "batch":
      return { type, ops: listShown(command.items, (item) => itemShown(item, valueBytesMax)) };
    case "keyed": {
      const { session, number, done } = command;
      const inner = commandIn(command.command);
      // None is keyed itself; one that says so may have been put together to nest without end.
      const isOther = inner.type === "keyed" || inner.type === "as";
      const told = isOther ? { type: "malformed" } : shown(inner, valueBytesMax);
      return { type, session, number, done, command: told };
    }
    case "restore": {
      const { id, step } = command;
      const bytes = step.type === "piece" ? { bytes: step.bytes.length } : {};
      return { type, id, step: { ...step, ...bytes } };
    }
    case "as": {
      const inner = commandIn(command.command);
      const told = inner.type === "as" ? { type: "malformed" } : shown(inner, valueBytesMax);
      return { type, token: command.token, command: told };
    }
    case "putRole":
      return { type, ...roleShown(command.role) };
    case "putToken": {
      const { id, name, roles } = command.token;
      return { type, id, name, roles };
    }
    case "deleteRole":
    case "deleteToken":
    case "grant":
    case "keepAlive":
    case "revoke":
    case "expire":
    case "configure":
    case "upgrade":
    case "malformed":
      return command;
  }
}

function roleShown({ name, grants }: Role): object {
  return {
    name,
    grants: listShown(grants, ({ verbs, ...range }) => ({ verbs, ...rangeShown(range) })),
  };
}

function listShown<T>(
  list: readonly T[],
  show: (each: T) => object,
): { readonly count: number; readonly shown: readonly object[] } {
  return { count: list.length, shown: list.slice(0, shownMax).map((each) => show(each)) };
}

function itemShown({ checks, operation }: BatchItem, valueBytesMax: number): object {
  const shownOperation = operationShown(operation, valueBytesMax);
  if (checks.length === 0) return shownOperation;
  return { ...shownOperation, if: listShown(checks, (each) => checkShown(each, valueBytesMax)) };
}

function checkShown(check: Check, valueBytesMax: number): object {
  const { type } = check;
  const key = keyShown(check.key);
  if (type === "exists") return { type, key, exists: check.exists };
  const { op } = check;
  if (type !== "value") return { type, key, op, operand: check.operand };
  return { type, key, op, ...valueShown(check.operand, valueBytesMax) };
}

function operationShown(operation: Operation, valueBytesMax: number): object {
  const { type } = operation;
  switch (type) {
    case "put": {
      const { value, contentType, extras } = operation;
      const shown = { type, key: keyShown(operation.key), ...valueShown(value, valueBytesMax) };
      return { ...shown, contentType, ...(extras === undefined ? {} : extrasShown(extras)) };
    }
    case "delete":
    case "get":
      return { type, key: keyShown(operation.key) };
    case "deleteRange":
      return { type, ...rangeShown(operation) };
    case "add": {
      const { delta, min, max } = operation;
      return {
        type,
        key: keyShown(operation.key),
        delta: String(delta),
        ...(min === null ? {} : { min: String(min) }),
        ...(max === null ? {} : { max: String(max) }),
      };
    }
    case "list": {
      const { reverse, limit, values } = operation;
      return { type, ...rangeShown(operation), reverse, limit, values };
    }
  }
}

function extrasShown({ metadata, ttlMs, lease }: PutExtras): object {
  return {
    ...(metadata === null ? {} : { metadata: base64Of(metadata) }),
    ...(ttlMs === null ? {} : { ttlMs }),
    ...(lease === null ? {} : { lease }),
  };
}

function valueShown(value: Uint8Array, valueBytesMax: number): object {
  const small = value.length <= valueBytesMax
    ? { value: textOf(value) ?? { base64: base64Of(value) } }
    : {};
  return { valueBytes: value.length, ...small };
}

function rangeShown({ start, end }: { readonly start: Key; readonly end: Key | null }): object {
  return { start: keyShown(start), end: end === null ? null : keyShown(end) };
}

function keyShown(key: Key): unknown {
  return textOfKey(key) ?? { base64: btoa(key) };
}

/** An entry, as `/v1/log` and the command line show it. @param valueBytesMax larger values are left out. */
export function entryShown(
  { index, term, kind, payload }: LogEntry,
  valueBytesMax: number,
): object {
  const shown = { index, term, kind, size: payload.length };
  switch (kind) {
    case "empty":
      return shown;
    case "configuration":
      return { ...shown, configuration: configurationShown(payload) };
    case "command":
      return { ...shown, command: commandShown(payload, valueBytesMax) };
  }
}

/** The payload is JSON; see `raft/membership.ts`. */
function configurationShown(payload: Uint8Array): unknown {
  try {
    return JSON.parse(textOf(payload) ?? "null");
  } catch {
    return null;
  }
}
