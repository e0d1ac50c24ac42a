/**
 * Locks: a key that is created under a lease where it is absent, and waited for where it is there. Its holder's death
 * ends the lease, and the key with it. Who waits is told by a watch, and then tries again together with the others.
 */
import { ClientError } from "./error.ts";
import type { Key } from "./key.ts";
import { type KeptLease, keptLease } from "./lease.ts";
import type { Lock, LockOptions } from "./options.ts";
import { linked, type Session } from "./session.ts";
import { emptyTransaction } from "./transaction.ts";
import { watch } from "./watch.ts";

const TTL_MS = 10_000;

/** See `Client.lock`. */
export async function lock(session: Session, name: Key, options: LockOptions): Promise<Lock> {
  const { ttlMs = TTL_MS, signal } = options;
  for (;;) {
    const lease = await keptLease(session, { ttlMs, ...(signal === undefined ? {} : { signal }) });
    try {
      const fencingToken = await acquire(session, { ...options, name, lease });
      if (fencingToken !== null && !lease.lost.aborted) return new HeldLock(lease, fencingToken);
      lease.release().catch(() => {});
    } catch (error) {
      // Whatever was taken with it goes too; if this fails, it does when its time is over.
      lease.release().catch(() => {});
      throw error;
    }
  }
}

interface Bid extends LockOptions {
  readonly name: Key;
  readonly lease: KeptLease;
}

/** The revision that created the key, or null where the lease was lost first. */
async function acquire(session: Session, bid: Bid): Promise<number | null> {
  const { name: key, lease, value = "", signal } = bid;
  const bidding = emptyTransaction(session)
    .if({ key, exists: false })
    .then({ put: { key, value, lease: lease.id } });
  while (!lease.lost.aborted) {
    try {
      const { succeeded, revision } = await bidding.commit(signal === undefined ? {} : { signal });
      if (succeeded) return revision;
      await deletion(session, bid, revision + 1);
    } catch (error) {
      if (!isLeaseGone(error)) throw error;
      return null;
    }
  }
  return null;
}

/** Without the lease the key isn't put. */
function isLeaseGone(error: unknown): boolean {
  return error instanceof ClientError && error.code === "not_found" &&
    error.outcome === "not_applied";
}

/** Resolves when the key may be absent, or the lease is lost. */
async function deletion(session: Session, { name: key, lease, signal }: Bid, from: number) {
  const abort = linked([lease.lost, signal]);
  try {
    for await (const { events } of watch(session, { key, from, signal: abort.signal })) {
      if (events.some(({ type }) => type === "delete")) return;
    }
  } catch (error) {
    // History doesn't reach back to `from`: the key may have been deleted since.
    const isCompacted = error instanceof ClientError && error.code === "compacted";
    if (!isCompacted && (!lease.lost.aborted || signal?.aborted === true)) throw error;
  } finally {
    abort.unlink();
  }
}

class HeldLock implements Lock {
  readonly fencingToken: number;
  readonly #lease: KeptLease;

  constructor(lease: KeptLease, fencingToken: number) {
    this.#lease = lease;
    this.fencingToken = fencingToken;
  }

  get lost(): AbortSignal {
    return this.#lease.lost;
  }

  release(): Promise<void> {
    return this.#lease.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
