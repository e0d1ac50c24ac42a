/** What calls take and give. */
import type { ClientFetch } from "./attempt.ts";
import type { ClientError } from "./error.ts";
import type { ListedItem } from "./item.ts";
import type { Key, KeyRange } from "./key.ts";

/** How a client is made. */
export interface ConnectOptions {
  /** Base URLs of nodes: one is enough, because a client learns the others from it. */
  readonly endpoints: readonly string[];
  /** Only these are asked, as behind a proxy: members' own URLs are not learned. */
  readonly fixed?: true;
  /** By then a call has ended, with all its attempts; 15,000 ms by default, so that it outlives an election. */
  readonly timeoutMs?: number;
  /** A single attempt's end; 5,000 ms by default, more than a node's `--request-timeout`. */
  readonly attemptTimeoutMs?: number;
  /** What the cluster knows this client by, `hf_…`; or what gives it for each request, where it may be renewed. */
  readonly token?: string | (() => string);
  /** The runtime's own by default. */
  readonly fetch?: ClientFetch;
  /** Aborts all that the client does. */
  readonly signal?: AbortSignal;
  /** Told of every attempt that failed and is about to be repeated. */
  readonly onRetry?: (error: ClientError) => void;
}

/** What every call takes. */
export interface CallOptions {
  /** Aborts the call, which then ends with `aborted`; a write that was sent may still take effect. */
  readonly signal?: AbortSignal;
}

/** When a read may be answered, and with which state. */
export interface ReadOptions extends CallOptions {
  readonly consistency?: "linearizable" | "lease" | "stale";
  /** With `stale`: an error rather than older, in milliseconds. */
  readonly maxStaleMs?: number;
  /** The state at this revision; `compacted` where history doesn't reach so far back. */
  readonly revision?: number;
}

/** What a change depends on; no change is made where it does not hold, and the error is `precondition_failed`. */
export type Condition =
  /** 0 stands for an absent key. */
  | { readonly ifRevision: number }
  | { readonly ifAbsent: true }
  | { readonly ifPresent: true };

export interface PutOptions extends CallOptions {
  /** `application/octet-stream` by default. */
  readonly contentType?: string;
  readonly condition?: Condition;
  /** Deleted so long after the put. */
  readonly ttlMs?: number;
  /** Deleted with this lease: its id. */
  readonly lease?: string;
  /** Up to 1 KiB that is kept with the value. */
  readonly metadata?: Uint8Array;
}

export interface DeleteOptions extends CallOptions {
  readonly condition?: Condition;
}

export interface AddOptions extends CallOptions {
  /** The sum is kept within these; −2⁶³ and 2⁶³−1 by default. */
  readonly min?: number | bigint;
  readonly max?: number | bigint;
}

export interface PutResult {
  readonly revision: number;
  readonly version: number;
  /** False where the key held a value before. */
  readonly created: boolean;
}

export interface DeleteResult {
  readonly revision: number;
  readonly deleted: number;
}

export interface AddResult {
  readonly revision: number;
  readonly version: number;
  /** The sum. */
  readonly value: bigint;
}

/** A key's value. */
export interface Item {
  readonly value: Uint8Array;
  readonly contentType: string;
  /** The revision that last changed it. */
  readonly revision: number;
  readonly metadata: Uint8Array | null;
  /** The id of the lease that it is tied to. */
  readonly lease: string | null;
  /** On a stale read: how old at most. */
  readonly stalenessMs: number | null;
}

export interface ItemsOptions extends ReadOptions, KeyRange {
  readonly reverse?: true;
  /** Leaves the values out: they read as empty. */
  readonly keysOnly?: true;
  /** Items in a page at most, 1–1000; 100 by default. */
  readonly limit?: number;
}

export interface ListOptions extends ItemsOptions {
  /** Goes on behind the page that gave it, at that page's revision. */
  readonly cursor?: string;
}

export interface Page {
  readonly revision: number;
  readonly items: readonly ListedItem[];
  /** Where more follows. */
  readonly cursor: string | null;
}

export interface WatchOptions extends CallOptions {
  /** One key; or a range as with {@link KeyRange}. */
  readonly key?: Key;
  readonly prefix?: Key;
  readonly start?: Key;
  readonly end?: Key;
  /** The first revision of interest; by default the one behind the store's when the watch was begun. */
  readonly from?: number;
  /** Tells what each key held before. */
  readonly previous?: true;
  /** Also gives a change without events now and then: nothing was missed up to its revision. */
  readonly progress?: true;
  /** Goes to another node where nothing comes for so long; 15,000 ms by default (nodes say something every 5 s). */
  readonly silenceMs?: number;
  /** Goes to another node where a node's state is older than this; 15,000 ms by default. */
  readonly maxStaleMs?: number;
}

/** What became of one key in one revision. */
export type WatchEvent =
  | {
    readonly type: "put";
    readonly key: Key;
    readonly item: ListedItem;
    /** What it held before, where that was asked for. */
    readonly previous: ListedItem | null;
  }
  | { readonly type: "delete"; readonly key: Key; readonly previous: ListedItem | null };

/** All that one revision changed in the watched range, in key order. */
export interface Change {
  readonly revision: number;
  readonly events: readonly WatchEvent[];
}

export interface LeaseOptions extends CallOptions {
  /** It ends so long after it was last kept alive, in milliseconds. */
  readonly ttlMs: number;
}

/** A lease that is kept alive until it is released, closed, or lost. */
export interface Lease extends AsyncDisposable {
  /** What ties a key to it: `put(key, value, { lease: lease.id })`. */
  readonly id: string;
  readonly ttlMs: number;
  /**
   * Aborted as soon as the lease may have ended without having been released: it could not be kept alive in time. A
   * process that was asleep learns of it late: where that would do harm, let what is written depend on a revision.
   */
  readonly lost: AbortSignal;
  /** Ends the lease, and deletes its keys. So does leaving the scope of `await using`. */
  release(): Promise<void>;
  /** No longer keeps it alive: it ends with its time. */
  close(): void;
}

export interface LockOptions extends CallOptions {
  /** Another gets the lock so long after its holder was last heard of; 10,000 ms by default. */
  readonly ttlMs?: number;
  /** What the key holds meanwhile, for people who look. */
  readonly value?: Uint8Array | string;
}

/** A lock that is held. Left by {@link release}, by the end of an `await using` scope, or {@link lost}. */
export interface Lock extends AsyncDisposable {
  /**
   * Higher with each holder: the revision that created the key. Only this makes a lock safe: hand it to whatever the
   * lock protects, which refuses a lower one than it has seen.
   */
  readonly fencingToken: number;
  /** Aborted as soon as another may hold the lock. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}
