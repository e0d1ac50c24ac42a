/** The client: calls, and the routes that they take. */
import {
  DeleteAnswer,
  type LeaseAnswer,
  type LeaseDetailAnswer,
  ListAnswer,
  MembersAnswer,
  type RestoreAnswer,
  StatusAnswer,
} from "../http/wire.ts";
import { decode, query } from "./answer.ts";
import type { Answer } from "./attempt.ts";
import { type Backup, type BackupOptions, restoreBackup, takeBackup } from "./backup.ts";
import { originOf } from "./endpoints.ts";
import { ClientError } from "./error.ts";
import { itemOf, type ListedItem } from "./item.ts";
import { type Key, type KeyRange, rangeParameters } from "./key.ts";
import { addCall, deleteCall, getCall, putCall } from "./kv.ts";
import { type BatchedCall, Lane } from "./lane.ts";
import { getLease, grantLease, keepLease, keptLease, revokeLease } from "./lease.ts";
import { lock } from "./lock.ts";
import * as members from "./members.ts";
import type * as o from "./options.ts";
import { readParameters, signalOf } from "./read-parameters.ts";
import { type Call, Session, TIMER_MS_MAX } from "./session.ts";
import { fetchWith } from "./token.ts";
import { emptyTransaction, type Transaction } from "./transaction.ts";
import { watch } from "./watch.ts";

const TIMEOUT_MS = 15_000;
const ATTEMPT_TIMEOUT_MS = 5_000;

/**
 * Makes a client. It holds no resources that need closing.
 *
 * @example
 * ```ts ignore
 * import { ClientError, connect } from "holdfast/client";
 *
 * const client = connect({ endpoints: ["http://127.0.0.1:4001"], timeoutMs: 5_000 });
 * try {
 *   await client.put("k", "v", { condition: { ifAbsent: true } });
 * } catch (error) {
 *   if (!(error instanceof ClientError) || error.code !== "precondition_failed") throw error;
 *   console.log("it is there already, at revision", error.revision);
 * }
 * ```
 */
export function connect(options: o.ConnectOptions): Client {
  return new Client(options);
}

/** Speaks to a cluster. Every method that waits throws {@link ClientError}. It holds nothing that needs closing. */
export class Client {
  /** As they were given. */
  readonly endpoints: readonly string[];
  readonly #session: Session;
  readonly #writes: Lane;
  readonly #reads: Lane;

  constructor(options: o.ConnectOptions) {
    if (options.endpoints.length === 0) throw new TypeError("a client needs an endpoint");
    this.endpoints = options.endpoints.map(originOf);
    const session = new Session({
      endpoints: this.endpoints,
      isFixed: options.fixed ?? false,
      fetch: fetchWith(options),
      timeoutMs: Math.min(options.timeoutMs ?? TIMEOUT_MS, TIMER_MS_MAX),
      attemptTimeoutMs: Math.min(options.attemptTimeoutMs ?? ATTEMPT_TIMEOUT_MS, TIMER_MS_MAX),
      signal: options.signal ?? new AbortController().signal,
      onRetry: options.onRetry ?? (() => {}),
    });
    this.#session = session;
    this.#writes = new Lane(session, "keyedWrite");
    this.#reads = new Lane(session, "read");
  }

  /** Reads a key; null where it is absent. */
  async get(key: Key, options: o.ReadOptions = {}): Promise<o.Item | null> {
    const parameters = readParameters(options);
    const { consistency = "linearizable", ...others } = parameters;
    const isPlain = consistency === "linearizable" && Object.keys(others).length === 0;
    const call = getCall(key, { parameters: query(parameters), signal: options.signal });
    try {
      // What is asked of a batch is read linearizably, as it is now.
      if (isPlain) return await this.#reads.add(call);
      if (call.plain === null) throw new TypeError("no URL can name this key");
      return call.fromAnswer(
        await this.#session.send({ ...call.plain, kind: "read", signal: options.signal }),
      );
    } catch (error) {
      if (error instanceof ClientError && error.code === "not_found") return null;
      throw error;
    }
  }

  /** One page of items, in key order. */
  async list(options: o.ListOptions = {}): Promise<o.Page> {
    const parameters = {
      ...readParameters(options),
      ...rangeParameters(options),
      ...(options.limit === undefined ? {} : { limit: String(options.limit) }),
      ...(options.reverse === undefined ? {} : { reverse: "true" }),
      ...(options.keysOnly === undefined ? {} : { values: "false" }),
      ...(options.cursor === undefined ? {} : { cursor: encodeURIComponent(options.cursor) }),
    };
    const answer = await this.#get(`/v1/kv${query(parameters)}`, options);
    const { revision, items, cursor } = decode(ListAnswer, answer, "read");
    return { revision, items: items.map(itemOf), cursor: cursor ?? null };
  }

  /**
   * All items, page by page, as they were at one revision.
   *
   * @example
   * ```ts ignore
   * await Promise.all(["a/1", "a/2"].map((key) => client.put(key, "x")));
   * for await (const { key, revision } of client.items({ prefix: "a/", keysOnly: true })) {
   *   console.log(key, revision);
   * }
   * ```
   */
  async *items(options: o.ItemsOptions = {}): AsyncGenerator<ListedItem, void, undefined> {
    let page = await this.list(options);
    for (;;) {
      yield* page.items;
      if (page.cursor === null) return;
      // The cursor says at which revision.
      const { revision: _, ...rest } = options;
      page = await this.list({ ...rest, cursor: page.cursor });
    }
  }

  /**
   * Puts a value; text stands for its UTF-8 bytes. Takes effect once, however often it has to be sent.
   *
   * @example
   * ```ts ignore
   * const { revision } = await client.put("session/7", "anna", { ttlMs: 60_000 });
   * await client.put("session/7", "bert", { condition: { ifRevision: revision } });
   * ```
   */
  put(key: Key, value: Uint8Array | string, options: o.PutOptions = {}): Promise<o.PutResult> {
    return this.#write(() => putCall(key, value, options));
  }

  /** Deletes a key; `deleted` is 0 where it was absent. */
  delete(key: Key, options: o.DeleteOptions = {}): Promise<o.DeleteResult> {
    return this.#write(() => deleteCall(key, options));
  }

  /** Deletes all keys that begin so, in one revision. */
  deletePrefix(prefix: Key, options: o.CallOptions = {}): Promise<o.DeleteResult> {
    return this.deleteRange({ prefix }, options);
  }

  /** Deletes all keys of a range, in one revision. */
  async deleteRange(range: KeyRange, { signal }: o.CallOptions = {}): Promise<o.DeleteResult> {
    const target = `/v1/kv${query(rangeParameters(range))}`;
    const call = { method: "DELETE", target, kind: "keyedWrite", signal } as const;
    return decode(DeleteAnswer, await this.#session.send(call), "write");
  }

  /**
   * Adds to a 64-bit integer that is kept as decimal text; an absent key counts as 0.
   *
   * @example
   * ```ts ignore
   * const { value } = await client.add("stock/7", -1, { min: 0 });
   * console.log(value === 0n ? "sold out" : `${value} left`);
   * ```
   */
  add(key: Key, delta: number | bigint, options: o.AddOptions = {}): Promise<o.AddResult> {
    return this.#write(() => addCall(key, delta, options));
  }

  /**
   * Several operations at once, depending on what the store holds.
   *
   * @example
   * ```ts ignore
   * const { succeeded, results } = await client.transaction()
   *   .if({ key: "owner", exists: false })
   *   .then({ put: { key: "owner", value: "me" } })
   *   .else({ get: { key: "owner" } })
   *   .commit();
   * if (!succeeded) console.log("it belongs to", results[0].item?.value);
   * ```
   */
  transaction(): Transaction {
    return emptyTransaction(this.#session);
  }

  /**
   * What changes from now on, or from a revision on, revision by revision: each once, in order, whole.
   *
   * @example
   * ```ts ignore
   * const { items, revision } = await client.list({ prefix: "config/" });
   * const config = new Map(items.map(({ key, value }) => [key, value]));
   * const stop = new AbortController();
   * const changes = client.watch({ prefix: "config/", from: revision + 1, signal: stop.signal });
   * await client.put("config/color", "blue");
   * for await (const { events } of changes) {
   *   for (const event of events) {
   *     if (event.type === "put") config.set(event.key, event.item.value);
   *     else config.delete(event.key);
   *   }
   *   if (config.size > 0) break;
   * }
   * ```
   */
  watch(options: o.WatchOptions = {}): AsyncGenerator<o.Change, void, undefined> {
    return watch(this.#session, options);
  }

  /**
   * Takes a lease, and keeps it alive.
   *
   * @example
   * ```ts ignore
   * await using lease = await client.lease({ ttlMs: 10_000 });
   * await client.put("workers/7", "http://10.0.0.7", { lease: lease.id });
   * lease.lost.addEventListener("abort", () => console.log("the others think that we are gone"));
   * ```
   */
  lease(options: o.LeaseOptions): Promise<o.Lease> {
    return keptLease(this.#session, options);
  }

  /** Takes a lease that nobody keeps alive. */
  grantLease(options: o.LeaseOptions): Promise<LeaseAnswer> {
    return grantLease(this.#session, options);
  }

  /** Lets a lease begin its time anew. `not_found` where it has ended. */
  keepLease(id: string, options: o.CallOptions = {}): Promise<LeaseAnswer> {
    return keepLease(this.#session, id, options);
  }

  /** What is known of a lease; null where it has ended. */
  getLease(id: string, options: o.ReadOptions = {}): Promise<LeaseDetailAnswer | null> {
    const parameters = query(readParameters(options));
    return getLease(this.#session, id, { parameters, ...signalOf(options) });
  }

  /** Ends a lease, and deletes its keys, in one revision. `not_found` where it has ended. */
  revokeLease(id: string, options: o.CallOptions = {}): Promise<o.DeleteResult> {
    return revokeLease(this.#session, id, options);
  }

  /**
   * Waits until nobody else holds the lock, which is a key of this name, and takes it.
   *
   * @example
   * ```ts ignore
   * await using lock = await client.lock("locks/report");
   * await client.transaction()
   *   .if({ key: "locks/report", created: lock.fencingToken }) // still ours
   *   .then({ put: { key: "report", value: "done" } })
   *   .commit();
   * ```
   */
  lock(name: Key, options: o.LockOptions = {}): Promise<o.Lock> {
    return lock(this.#session, name, options);
  }

  /** The status of whichever node answers; or, with an endpoint, of that one alone. */
  async status(endpoint?: string, { signal }: o.CallOptions = {}): Promise<StatusAnswer> {
    const call = { method: "GET", target: "/v1/status", kind: "read", signal } as const;
    const answer = endpoint === undefined
      ? await this.#session.send(call)
      : await this.#session.sendTo(originOf(endpoint), call);
    return decode(StatusAnswer, answer, "read");
  }

  /** Who takes part, and what a change that is under way ends in. */
  async members(options: o.ReadOptions = {}): Promise<MembersAnswer> {
    const answer = await this.#get(`/v1/members${query(readParameters(options))}`, options);
    return decode(MembersAnswer, answer, "read");
  }

  /** Takes a member in, as a learner at first; also promotes a learner. See {@link ChangeResult}. */
  addMember(
    member: members.NewMember,
    options: o.CallOptions = {},
  ): Promise<members.AddMemberResult> {
    return members.addMember(this.#session, member, options);
  }

  /** Removes a member; its id never comes back. One that left before is no error. */
  removeMember(id: string, options: o.CallOptions = {}): Promise<members.ChangeResult> {
    return members.removeMember(this.#session, id, options);
  }

  /** Changes the members to these, in one change: who isn't named leaves for ever. */
  setMembers(
    set: members.MemberSet,
    options: o.CallOptions = {},
  ): Promise<members.SetMembersResult> {
    return members.setMembers(this.#session, set, options);
  }

  /** Hands leadership to `id`, or with null to the voter that needs the least. Resolves with the leader. */
  transferLeadership(id: string | null, options: o.CallOptions = {}): Promise<string> {
    return members.transferLeadership(this.#session, id, options);
  }

  /** A backup of the whole store, as it is now. It ends with a checksum: one that breaks off is none. */
  backup(options: BackupOptions = {}): Promise<Backup> {
    return takeBackup(this.#session, readParameters(options), options);
  }

  /**
   * Makes a backup's store that of a cluster which is empty: nothing was ever put. The client's `timeoutMs` has to be
   * long enough for it.
   */
  restore(backup: Uint8Array, options: o.CallOptions = {}): Promise<RestoreAnswer> {
    return restoreBackup(this.#session, backup, options);
  }

  #get(target: string, { signal }: o.CallOptions): Promise<Answer> {
    return this.#session.send({ method: "GET", target, kind: "read", signal } satisfies Call);
  }

  /** @param call throws where its arguments are wrong. */
  async #write<T>(call: () => BatchedCall<T>): Promise<T> {
    return await this.#writes.add(call());
  }
}
