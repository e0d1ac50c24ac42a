/**
 * What applying a command came to. The same on every replica, and plain data, so that a follower can be told
 * (`result-codec.ts`). `revision` is always the store's, right after the command.
 */
import type { AccessRefusal } from "./access/grant.ts";
import type { LeaseId } from "./command.ts";
import type { Key } from "./key.ts";
import type { Item } from "./record.ts";

/** What an operation came to, within a transaction or a batch. */
export type OperationResult =
  /** `version` 1 says that the put created the key. */
  | { readonly type: "put"; readonly version: number; readonly created: number }
  | { readonly type: "deleted"; readonly deleted: number }
  | { readonly type: "added"; readonly value: bigint; readonly version: number }
  | { readonly type: "got"; readonly item: ListedItem | null }
  /** `more` says that the range goes on behind the last item. */
  | { readonly type: "listed"; readonly items: readonly ListedItem[]; readonly more: boolean };

/** A key and what it holds. Where values weren't asked for, the value is empty. */
export interface ListedItem extends Item {
  readonly key: Key;
}

/** Why nothing was changed: what the store held. */
export type Failure =
  /** `current` is the revision that the key is at, 0 where it is absent; null where several checks didn't hold. */
  | { readonly type: "conditionFailed"; readonly revision: number; readonly current: number | null }
  | { readonly type: "noLease"; readonly revision: number; readonly lease: LeaseId }
  /** What an `add` was to be added to is not a 64-bit integer. */
  | { readonly type: "notInteger"; readonly revision: number; readonly key: Key }
  /** What was to be read comes to more than `limit`: {@link resultBytesMax}. */
  | { readonly type: "tooMuch"; readonly revision: number; readonly limit: number };

export type BatchItemResult = (OperationResult & { readonly revision: number }) | Failure;

export type KvResult =
  | {
    readonly type: "put";
    readonly revision: number;
    readonly version: number;
    readonly created: number;
  }
  | { readonly type: "deleted"; readonly revision: number; readonly deleted: number }
  | Failure
  | {
    readonly type: "transaction";
    readonly revision: number;
    /** Whether all checks held: `results` are those of `then`, or of `else`. */
    readonly succeeded: boolean;
    readonly results: readonly OperationResult[];
  }
  | {
    readonly type: "batch";
    readonly revision: number;
    readonly results: readonly BatchItemResult[];
  }
  /** A lease was granted, or kept alive: it ends so long after the command unless it is kept alive again. */
  | {
    readonly type: "lease";
    readonly revision: number;
    readonly lease: LeaseId;
    readonly ttlMs: number;
  }
  | { readonly type: "revoked"; readonly revision: number; readonly deleted: number }
  /** What was due was deleted; `more` where that wasn't all. */
  | {
    readonly type: "expired";
    readonly revision: number;
    readonly deleted: number;
    readonly more: boolean;
  }
  | { readonly type: "configured"; readonly revision: number }
  | { readonly type: "upgraded"; readonly revision: number; readonly version: number }
  /** A restore has begun, and so many bytes of it have come. */
  | { readonly type: "restoring"; readonly revision: number; readonly bytes: number }
  /** The backup's state is the store's. */
  | { readonly type: "restored"; readonly revision: number }
  /** Nothing changed, and nothing will by that restore. */
  | {
    readonly type: "restoreRefused";
    readonly revision: number;
    readonly reason: RestoreRefusal;
    readonly detail: string;
  }
  /** Nothing changed: the same session and number came with another command before. */
  | { readonly type: "keyReused"; readonly revision: number }
  /** Nothing changed: the session has said that it has the answer to this command. */
  | { readonly type: "keyDone"; readonly revision: number }
  /** Nothing changed: no more answers can be kept now. */
  | { readonly type: "keysFull"; readonly revision: number }
  /** Nothing changed: there can be no more leases now. */
  | { readonly type: "leasesFull"; readonly revision: number }
  /** A role or a token was put, or deleted. */
  | { readonly type: "accessChanged"; readonly revision: number }
  /** Nothing changed: of roles and tokens. */
  | { readonly type: "accessRefused"; readonly revision: number; readonly reason: AccessRefusal }
  /** Nothing changed: a token is needed, or there is no such token any more. */
  | { readonly type: "unauthenticated"; readonly revision: number }
  /** Nothing changed: the token's roles don't allow it (any more). */
  | { readonly type: "forbidden"; readonly revision: number }
  /** Nothing changed: the command could not be understood. */
  | { readonly type: "malformed"; readonly revision: number; readonly detail: string };

/** Why there is no restore: the store had something; another began, or its time was over; it is no state. */
export const restoreRefusals = ["notEmpty", "over", "malformed"] as const;
export type RestoreRefusal = typeof restoreRefusals[number];

/** What the items that one command reads may come to, in bytes: all that they hold, and 64 for each. */
export const resultBytesMax: number = 8 * 1024 * 1024;
