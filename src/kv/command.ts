/**
 * Commands: what stands in the log for the state machine. `command-codec.ts` has them as bytes.
 *
 * What an operation does is decided where its command stands in the log, and is the same on every replica. So is time:
 * a command that depends on it carries the leader's, in milliseconds since the cluster began to count (see
 * `Housekeeping` in `ports.ts`).
 */
import type { AccessEdit, TokenId } from "./access/grant.ts";
import { type Key, keyBytesMax } from "./key.ts";

/** About the revision of the key that is written, 0 where it is absent: what `If-Match` and `If-None-Match` say. */
export type Condition =
  | { readonly type: "exists" }
  | { readonly type: "absent" }
  /** The key is there, at one of these. */
  | { readonly type: "revision"; readonly revisions: readonly number[] }
  /** The key is absent, or at none of these. */
  | { readonly type: "notRevision"; readonly revisions: readonly number[] };

/** What a transaction depends on, about any key. */
export type Check =
  | { readonly type: "exists"; readonly key: Key; readonly exists: boolean }
  /** An absent key has revision, created and version 0. */
  | {
    readonly type: "revision" | "created" | "version";
    readonly key: Key;
    readonly op: ComparisonOp;
    readonly operand: number;
  }
  /** Compared bytewise. An absent key has no value: it is not equal to any, and neither before nor behind one. */
  | {
    readonly type: "value";
    readonly key: Key;
    readonly op: ComparisonOp;
    readonly operand: Uint8Array;
  };
export const comparisonOps = ["=", "!=", "<", ">"] as const;
export type ComparisonOp = typeof comparisonOps[number];

/** A lease's number; none comes twice in a cluster's life. */
export type LeaseId = number;

/** What a put may attach to a key, beside its value and content type. A put without it takes it away. */
export interface PutExtras {
  /** Opaque bytes of another protocol's, or null. */
  readonly metadata: Uint8Array | null;
  /** Deleted so long after the put, by a revision of its own; null is never. */
  readonly ttlMs: number | null;
  /** Deleted with this lease. */
  readonly lease: LeaseId | null;
}

export interface PutOperation {
  readonly type: "put";
  readonly key: Key;
  readonly value: Uint8Array;
  readonly contentType: string;
  readonly extras?: PutExtras;
}
export interface DeleteOperation {
  readonly type: "delete";
  readonly key: Key;
}
/** Deletes `start` ≤ key < `end`; a null `end` is "no end". */
export interface DeleteRangeOperation {
  readonly type: "deleteRange";
  readonly start: Key;
  readonly end: Key | null;
}
/**
 * Adds to a 64-bit signed integer that is kept as decimal text; an absent key counts as 0. The sum is kept within `min`
 * and `max`, which are the type's own bounds where they are null. All that is attached to the key stays.
 */
export interface AddOperation {
  readonly type: "add";
  readonly key: Key;
  readonly delta: bigint;
  readonly min: bigint | null;
  readonly max: bigint | null;
}
export interface GetOperation {
  readonly type: "get";
  readonly key: Key;
}
export interface ListOperation {
  readonly type: "list";
  readonly start: Key;
  readonly end: Key | null;
  readonly reverse: boolean;
  /** Items at most, up to {@link listItemsMax}. */
  readonly limit: number;
  /** Whether items come with their values. */
  readonly values: boolean;
}
/** A part of a transaction, or of a batch. */
export type Operation =
  | PutOperation
  | DeleteOperation
  | DeleteRangeOperation
  | AddOperation
  | GetOperation
  | ListOperation;

export interface PutCommand extends PutOperation {
  readonly conditions: readonly Condition[];
}
export interface DeleteCommand extends DeleteOperation {
  readonly conditions: readonly Condition[];
}
export type DeleteRangeCommand = DeleteRangeOperation;

/** `then` where all checks hold, else `else`: in order, by one revision, all of it or nothing. */
export interface TransactionCommand {
  readonly type: "transaction";
  readonly checks: readonly Check[];
  readonly then: readonly Operation[];
  readonly else: readonly Operation[];
}

/** Independent operations, one after the other, each with a revision and an outcome of its own. */
export interface BatchCommand {
  readonly type: "batch";
  readonly items: readonly BatchItem[];
}
export interface BatchItem {
  readonly checks: readonly Check[];
  readonly operation: Operation;
}

/** A command that takes effect once, however often it is applied. */
export interface KeyedCommand {
  readonly type: "keyed";
  /** Whose commands these are: 1 to {@link sessionBytesMax} printable ASCII characters. */
  readonly session: string;
  /** Which of the session's. */
  readonly number: number;
  /** The session has the answers to all below this: they need not be kept, and those commands are void from now on. */
  readonly done: number;
  /** Encoded, and not keyed itself. */
  readonly command: Uint8Array;
}

/** A step of a restore: see `restoring.ts`. */
export interface RestoreCommand {
  readonly type: "restore";
  /** Which restore's: 1 to {@link sessionBytesMax} printable ASCII characters, never used before. */
  readonly id: string;
  readonly step:
    | { readonly type: "begin" | "abort" }
    /** Of the state's snapshot, from `offset` on. */
    | { readonly type: "piece"; readonly offset: number; readonly bytes: Uint8Array }
    /** All has come: so many bytes, of this digest. */
    | {
      readonly type: "commit";
      readonly bytes: number;
      readonly digest: readonly [number, number];
    };
}

/** A command that takes effect where a token still allows it at its place in the log. */
export interface AsCommand {
  readonly type: "as";
  /** Null for what a node's own process asks: the node vouches for it. */
  readonly token: TokenId | null;
  /** Encoded; it may be keyed, but it has no token of its own, and is none of the leader's. */
  readonly command: Uint8Array;
}

/** What stands in the log. */
export type Command =
  | AsCommand
  | AccessEdit
  | PutCommand
  | DeleteCommand
  | DeleteRangeCommand
  | TransactionCommand
  | BatchCommand
  | KeyedCommand
  | RestoreCommand
  | { readonly type: "grant"; readonly ttlMs: number }
  | { readonly type: "keepAlive" | "revoke"; readonly lease: LeaseId }
  /** The leader's own: deletes what is due, as much as one command may. */
  | { readonly type: "expire" }
  /** The leader's own: how much history there is from now on. */
  | { readonly type: "configure"; readonly history: HistoryLimits }
  /** The leader's own: the cluster's version from now on, if it is more than it was; see `cluster-version.ts`. */
  | { readonly type: "upgrade"; readonly version: number };

/** How far back the past is kept, whichever is reached first. */
export interface HistoryLimits {
  readonly revisionsMax: number;
  readonly bytesMax: number;
}

/** Bounds on the parts of a command, as every replica checks them. A node may take less from its clients. */
export const valueBytesMax: number = 8 * 1024 * 1024;
export const commandBytesMax: number = valueBytesMax + 64 * 1024;
/** Of a state that is restored, in one command. */
export const restorePieceBytesMax: number = 1024 * 1024;
export const contentTypeBytesMax: number = 256;
export const metadataBytesMax: number = 1024;
export const conditionsMax: number = 2;
export const conditionRevisionsMax: number = 16;
export const checksMax: number = 128;
/** In each half of a transaction. */
export const operationsMax: number = 1000;
export const batchItemsMax: number = 1000;
export const listItemsMax: number = 1000;
export const sessionBytesMax: number = 64;
/** Ten years. */
export const ttlMsMax: number = 3650 * 86_400_000;
/** A range may begin or end right behind the longest key. */
export const rangeBytesMax: number = keyBytesMax + 1;
/** The latest time that a command may tell: whatever lasts from then on ends at a time that is exact. */
export const timeMsMax: number = Number.MAX_SAFE_INTEGER - ttlMsMax;
/** A change's length has to fit into what says it. */
export const historyBytesMax: number = 2 ** 30;
export const integerMin: bigint = -(2n ** 63n);
export const integerMax: bigint = 2n ** 63n - 1n;

/** What a value is where its writer does not say. */
export const defaultContentType: string = "application/octet-stream";

/** Whether `text` may be kept as a content type: it has to be fit for a header of an answer. */
export function isContentType(text: string): boolean {
  return text.length > 0 && text.length <= contentTypeBytesMax && /^[\x20-\x7e]+$/.test(text);
}

/** The head of an unsigned 64-bit integer, with which no command begins: a time stands before what depends on it. */
export const timeHead = 0x1b;

/** Whether `text` may name a session. */
export function isSession(text: string): boolean {
  return text.length > 0 && text.length <= sessionBytesMax && /^[\x20-\x7e]+$/.test(text);
}

/** Whether what `command` does depends on the time: the leader then stamps its own into it. */
export function isTimed(command: Command): boolean {
  switch (command.type) {
    case "put":
      return isTimedOperation(command);
    case "transaction":
      return [...command.then, ...command.else].some(isTimedOperation);
    case "batch":
      return command.items.some(({ operation }) => isTimedOperation(operation));
    case "as":
      return command.command[0] === timeHead;
    case "keyed":
    case "grant":
    case "restore":
    case "keepAlive":
    case "expire":
      return true;
    case "delete":
    case "deleteRange":
    case "revoke":
    case "configure":
    case "upgrade":
    case "putRole":
    case "deleteRole":
    case "putToken":
    case "deleteToken":
      return false;
  }
}

function isTimedOperation(operation: Operation): boolean {
  return operation.type === "put" && (operation.extras?.ttlMs ?? null) !== null;
}
