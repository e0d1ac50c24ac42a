/**
 * A client: keys, values and members over `fetch`, against any of a cluster's nodes.
 *
 * It goes from endpoint to endpoint until one answers, and repeats what is safe to repeat: reads, writes that were
 * certainly not applied, and writes with a condition. Whatever else goes wrong is a {@link ClientError} whose
 * `outcome` says what became of the write.
 *
 * @example
 * ```ts
 * const client = createClient({ endpoints: ["http://127.0.0.1:4001", "http://127.0.0.1:4002"] });
 * await client.put("greeting", "hello", { contentType: "text/plain" });
 * const item = await client.get("greeting");
 * ```
 */
import {
  DeleteAnswer,
  ListAnswer,
  MembersAnswer,
  PutAnswer,
  stalenessHeader,
  StatusAnswer,
} from "../http/wire.ts";
import { bad, decode, query } from "./answer.ts";
import { ClientError } from "./error.ts";
import { itemBytes, type Key, keyParameter, keyPath } from "./key.ts";
import * as members from "./members.ts";
import { type Answer, type Call, type ClientFetch, revisionOf, Session } from "./session.ts";

export { ClientError, type ClientErrorCode, isPassing } from "./error.ts";
export type { Key } from "./key.ts";
export type { ClientFetch } from "./session.ts";
export type {
  AddMemberResult,
  ChangeResult,
  MemberSet,
  NewMember,
  SetMembersResult,
} from "./members.ts";
export type {
  ChangeAnswer,
  MemberAnswer,
  MembersAnswer,
  MemberSeat,
  Outcome,
  StatusAnswer,
} from "../http/wire.ts";

export interface ClientOptions {
  /** Base URLs of nodes; one that works is stayed with. */
  readonly endpoints: readonly string[];
  /** By then a call has ended, with all its attempts; 15,000 ms by default, so that it outlives an election. */
  readonly timeoutMs?: number;
  /** A single attempt's end; 5,000 ms by default, more than a node's `--request-timeout`. */
  readonly attemptTimeoutMs?: number;
  readonly fetch?: ClientFetch;
  /** Told of every attempt that failed and is about to be repeated. */
  readonly onRetry?: (error: ClientError) => void;
}

/** What a change depends on; no change is made where it does not hold. */
export type Condition =
  | { readonly ifRevision: number }
  | { readonly ifAbsent: true }
  | { readonly ifPresent: true };

export interface PutOptions {
  readonly contentType?: string;
  readonly condition?: Condition;
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

export interface ReadOptions {
  readonly consistency?: "linearizable" | "lease" | "stale";
  /** With `stale`: 503 rather than older, in milliseconds. */
  readonly maxStaleMs?: number;
}

/** A key's value. */
export interface Item {
  readonly value: Uint8Array;
  readonly contentType: string;
  /** The revision that last changed it. */
  readonly revision: number;
  /** On a stale read: how old at most. */
  readonly stalenessMs: number | null;
}

export interface ListOptions extends ReadOptions {
  readonly prefix?: Key;
  readonly start?: Key;
  readonly end?: Key;
  readonly reverse?: true;
  /** Leaves the values out: they read as empty. */
  readonly keysOnly?: true;
  /** Items at most, 1–1000. */
  readonly limit?: number;
  readonly cursor?: string;
}

export interface ListedItem {
  /** Text where it is UTF-8. */
  readonly key: Key;
  readonly value: Uint8Array;
  readonly contentType: string;
  readonly revision: number;
  readonly created: number;
  readonly version: number;
}

export interface Page {
  readonly revision: number;
  readonly items: readonly ListedItem[];
  /** Where more follows. */
  readonly cursor: string | null;
}

/** Makes a client. It holds no resources that need closing. */
export function createClient(options: ClientOptions): Client {
  return new Client(options);
}

/** See {@link createClient}. Every method throws {@link ClientError}. */
export class Client {
  readonly endpoints: readonly string[];
  readonly #session: Session;
  readonly #timeoutMs: number;

  constructor(options: ClientOptions) {
    if (options.endpoints.length === 0) throw new TypeError("a client needs an endpoint");
    this.endpoints = options.endpoints.map((endpoint) => endpoint.replace(/\/+$/, ""));
    this.#timeoutMs = options.timeoutMs ?? 15_000;
    this.#session = new Session({
      endpoints: this.endpoints,
      fetch: options.fetch ?? fetch,
      attemptTimeoutMs: options.attemptTimeoutMs ?? 5_000,
      onRetry: options.onRetry ?? (() => {}),
    });
  }

  /** Reads a key; null where it is absent. */
  async get(key: Key, options: ReadOptions = {}): Promise<Item | null> {
    try {
      const answer = await this.#read(keyPath(key) + query(readParameters(options)));
      const staleness = answer.headers.get(stalenessHeader);
      return {
        value: answer.body,
        contentType: answer.headers.get("content-type") ?? "",
        revision: revisionOf(answer.headers) ?? bad(answer, null, "an answer without ETag"),
        stalenessMs: staleness === null ? null : Number(staleness),
      };
    } catch (error) {
      if (error instanceof ClientError && error.code === "not_found") return null;
      throw error;
    }
  }

  /** Puts a value; text stands for its UTF-8 bytes. */
  async put(key: Key, value: Uint8Array | string, options: PutOptions = {}): Promise<PutResult> {
    const { contentType, condition } = options;
    const answer = await this.#session.send({
      method: "PUT",
      target: keyPath(key),
      headers: {
        "content-type": contentType ?? "application/octet-stream",
        ...conditionHeaders(condition),
      },
      body: typeof value === "string" ? new TextEncoder().encode(value) : value,
      kind: condition === undefined ? "write" : "conditionalWrite",
      timeoutMs: this.#timeoutMs,
    });
    return { ...decode(PutAnswer, answer, "write"), created: answer.status === 201 };
  }

  /**
   * Makes a key hold a value, whatever it held before, and finds out when it can't be told whether an attempt took
   * effect: every attempt is conditional on what the key held, and after an uncertain one the key is read again.
   * It ends when the key was seen to hold the value: where another client writes the same key, either may be last.
   */
  async ensure(key: Key, value: Uint8Array, contentType: string): Promise<{ revision: number }> {
    const deadline = performance.now() + this.#timeoutMs;
    let condition: Condition = { ifAbsent: true };
    for (;;) {
      try {
        return await this.put(key, value, { contentType, condition });
      } catch (error) {
        if (!(error instanceof ClientError) || performance.now() >= deadline) throw error;
        let revision = error.code === "precondition_failed" ? error.revision : null;
        if (error.outcome === "unknown") {
          const item = await this.get(key).catch(() => Promise.reject(error));
          if (item !== null && item.contentType === contentType && same(item.value, value)) {
            return { revision: item.revision };
          }
          revision = item?.revision ?? 0;
        }
        if (revision === null) throw error;
        condition = revision === 0 ? { ifAbsent: true } : { ifRevision: revision };
      }
    }
  }

  /** Deletes a key; `deleted` is 0 where it was absent. */
  async delete(key: Key, condition?: Condition): Promise<DeleteResult> {
    const answer = await this.#session.send({
      method: "DELETE",
      target: keyPath(key),
      headers: conditionHeaders(condition),
      kind: condition === undefined ? "write" : "conditionalWrite",
      timeoutMs: this.#timeoutMs,
    });
    return decode(DeleteAnswer, answer, "write");
  }

  /** Deletes all keys that begin so, in one revision. */
  async deletePrefix(prefix: Key): Promise<DeleteResult> {
    const answer = await this.#session.send({
      method: "DELETE",
      target: `/v1/kv${query({ prefix: keyParameter(prefix) })}`,
      kind: "write",
      timeoutMs: this.#timeoutMs,
    });
    return decode(DeleteAnswer, answer, "write");
  }

  /** One page of items, in key order. */
  async list(options: ListOptions = {}): Promise<Page> {
    const answer = await this.#read(`/v1/kv${
      query({
        ...readParameters(options),
        ...(options.prefix === undefined ? {} : { prefix: keyParameter(options.prefix) }),
        ...(options.start === undefined ? {} : { start: keyParameter(options.start) }),
        ...(options.end === undefined ? {} : { end: keyParameter(options.end) }),
        ...(options.limit === undefined ? {} : { limit: String(options.limit) }),
        ...(options.reverse === undefined ? {} : { reverse: "true" }),
        ...(options.keysOnly === undefined ? {} : { values: "false" }),
        ...(options.cursor === undefined ? {} : { cursor: encodeURIComponent(options.cursor) }),
      })
    }`);
    const page = decode(ListAnswer, answer, "read");
    const items = page.items.map((item) => ({
      ...itemBytes(item),
      contentType: item.contentType,
      revision: item.revision,
      created: item.created,
      version: item.version,
    }));
    return { revision: page.revision, items, cursor: page.cursor ?? null };
  }

  /** The status of the node at one endpoint, without going to another. */
  async status(endpoint: string): Promise<StatusAnswer> {
    const timeoutMs = this.#timeoutMs;
    const answer = await this.#session.sendTo(endpoint, readCall("/v1/status", timeoutMs));
    return decode(StatusAnswer, answer, "read");
  }

  /** Who takes part, and what a change that is under way ends in. */
  async members(options: ReadOptions = {}): Promise<MembersAnswer> {
    const answer = await this.#read(`/v1/members${query(readParameters(options))}`);
    return decode(MembersAnswer, answer, "read");
  }

  /** Takes a member in, as a learner at first; also promotes a learner. See {@link members.ChangeResult}. */
  addMember(member: members.NewMember): Promise<members.AddMemberResult> {
    return members.addMember(this.#session, member, this.#timeoutMs);
  }

  /** Removes a member; its id never comes back. One that left before is no error. */
  removeMember(id: string): Promise<members.ChangeResult> {
    return members.removeMember(this.#session, id, this.#timeoutMs);
  }

  /** Changes the members to these, in one change: who isn't named leaves for ever. */
  setMembers(set: members.MemberSet): Promise<members.SetMembersResult> {
    return members.setMembers(this.#session, set, this.#timeoutMs);
  }

  /** Hands leadership to `id`, or with null to the voter that needs the least. Resolves with the leader. */
  transferLeadership(id: string | null): Promise<string> {
    return members.transferLeadership(this.#session, id, this.#timeoutMs);
  }

  #read(target: string): Promise<Answer> {
    return this.#session.send(readCall(target, this.#timeoutMs));
  }
}

function readCall(target: string, timeoutMs: number): Call {
  return { method: "GET", target, kind: "read", timeoutMs };
}

function readParameters(options: ReadOptions): Record<string, string> {
  const { consistency, maxStaleMs } = options;
  return {
    ...(consistency === undefined ? {} : { consistency }),
    ...(maxStaleMs === undefined ? {} : { max_stale: `${maxStaleMs}ms` }),
  };
}

function conditionHeaders(condition: Condition | undefined): Record<string, string> {
  if (condition === undefined) return {};
  if ("ifAbsent" in condition) return { "if-none-match": "*" };
  return { "if-match": "ifRevision" in condition ? `"${condition.ifRevision}"` : "*" };
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
