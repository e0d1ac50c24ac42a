/** Leases that are kept alive. */
import { DeleteAnswer, LeaseAnswer, LeaseDetailAnswer } from "../http/wire.ts";
import { decode, jsonBody } from "./answer.ts";
import { ClientError } from "./error.ts";
import { durationOf } from "./item.ts";
import type { CallOptions, DeleteResult, Lease, LeaseOptions } from "./options.ts";
import { linked, pause, type Session } from "./session.ts";

/** A lease is kept alive so often in its time to live. */
const KEPT_PER_TTL = 3;
/** Where that failed in a way that isn't repeated by itself. */
const RETRY_MS = 100;
/** This side's clock may run slower than the cluster's by this part. */
const DRIFT = 0.1;

/** See `Client.grantLease`. */
export async function grantLease(
  session: Session,
  { ttlMs, signal }: LeaseOptions,
): Promise<LeaseAnswer> {
  const body = jsonBody({ ttl: durationOf(ttlMs) });
  const call = { method: "POST", target: "/v1/leases", kind: "keyedWrite" } as const;
  return decode(LeaseAnswer, await session.send({ ...call, ...body, signal }), "write");
}

/** See `Client.keepLease`. */
export async function keepLease(
  session: Session,
  id: string,
  options: CallOptions & { readonly timeoutMs?: number },
): Promise<LeaseAnswer> {
  const target = `${path(id)}/keepalive`;
  const answer = await session.send({ method: "POST", target, kind: "keyedWrite", ...options });
  return decode(LeaseAnswer, answer, "write");
}

/** See `Client.revokeLease`. */
export async function revokeLease(
  session: Session,
  id: string,
  options: CallOptions,
): Promise<DeleteResult> {
  const call = { method: "DELETE", target: path(id), kind: "keyedWrite" } as const;
  return decode(DeleteAnswer, await session.send({ ...call, ...options }), "write");
}

/** See `Client.getLease`. `parameters` stands behind the path. */
export async function getLease(
  session: Session,
  id: string,
  { parameters, signal }: CallOptions & { readonly parameters: string },
): Promise<LeaseDetailAnswer | null> {
  try {
    const target = `${path(id)}${parameters}`;
    const answer = await session.send({ method: "GET", target, kind: "read", signal });
    return decode(LeaseDetailAnswer, answer, "read");
  } catch (error) {
    if (error instanceof ClientError && error.code === "not_found") return null;
    throw error;
  }
}

function path(id: string): string {
  return `/v1/leases/${encodeURIComponent(id)}`;
}

/** See `Client.lease`. */
export async function keptLease(session: Session, options: LeaseOptions): Promise<KeptLease> {
  const asked = performance.now();
  const { id, ttlMs } = await grantLease(session, options);
  return new KeptLease(session, { id, ttlMs, asked });
}

/** A lease, and the loop that keeps it alive. */
export class KeptLease implements Lease {
  readonly id: string;
  readonly ttlMs: number;
  readonly #session: Session;
  readonly #lost = new AbortController();
  /** Aborted when it is not to be kept alive any more. */
  readonly #closed = new AbortController();
  /** When the last request that kept it alive was sent: its time counts from then at the earliest. */
  #asked: number;
  #released: Promise<void> | null = null;

  constructor(session: Session, granted: {
    readonly id: string;
    readonly ttlMs: number;
    readonly asked: number;
  }) {
    this.#session = session;
    this.id = granted.id;
    this.ttlMs = granted.ttlMs;
    this.#asked = granted.asked;
    void this.#keep();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  close(): void {
    this.#closed.abort();
  }

  release(): Promise<void> {
    this.close();
    this.#released ??= this.#revoke();
    return this.#released;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  async #revoke(): Promise<void> {
    try {
      await revokeLease(this.#session, this.id, {});
    } catch (error) {
      // It has ended by itself.
      if (!(error instanceof ClientError) || error.code !== "not_found") throw error;
    }
  }

  /** Never rejects. */
  async #keep(): Promise<void> {
    const closed = this.#closed.signal;
    const all = this.#session.options.signal;
    const abort = linked([closed, all]);
    const interval = this.ttlMs / KEPT_PER_TTL;
    for (let nextAt = this.#asked + interval; !closed.aborted && !this.lost.aborted;) {
      await pause(Math.min(nextAt, this.#expiry()) - performance.now(), abort.signal);
      if (closed.aborted) break;
      const timeoutMs = this.#expiry() - performance.now();
      if (all.aborted) this.#lost.abort(all.reason);
      else if (timeoutMs <= 0) this.#lost.abort(new Error("the lease could not be kept alive"));
      else if (await this.#keepOnce({ timeoutMs, signal: abort.signal })) {
        nextAt = this.#asked + interval;
      } else nextAt = performance.now() + RETRY_MS;
    }
    abort.unlink();
  }

  async #keepOnce(options: CallOptions & { readonly timeoutMs: number }): Promise<boolean> {
    const asked = performance.now();
    try {
      await keepLease(this.#session, this.id, options);
      this.#asked = asked;
      return true;
    } catch (error) {
      if (error instanceof ClientError && error.code === "not_found") this.#lost.abort(error);
      return false;
    }
  }

  /** When it may have ended, by this side's clock. */
  #expiry(): number {
    return this.#asked + this.ttlMs * (1 - DRIFT);
  }
}
