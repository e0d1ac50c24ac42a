/** How a command comes into the log, once where the request says so, and what its refusals say. */
import { accessBytesMax, type AccessRefusal, rolesMax, tokensMax } from "../kv/access/grant.ts";
import { isSession } from "../kv/command.ts";
import { type FirstOf, neededBy } from "../kv/access/needs.ts";
import { decodeCommand, encodeCommand } from "../kv/command-codec.ts";
import { keyBytesMax } from "../kv/key.ts";
import type { KvResult } from "../kv/result.ts";
import { entityTagOf } from "./conditions.ts";
import type { Exchange } from "./exchange.ts";
import { badRequest, forbidden, Refusal, unknownToken } from "./problem.ts";
import { textOfKey } from "./text.ts";
import { idempotencyHeader, sequenceHeader } from "./wire.ts";

/** When to ask for a lease again where there can be no more, in seconds. */
const leasesRetrySeconds = 10;

/**
 * What came of the command. Where this node had not heard yet that the cluster asks for tokens, the command changed
 * nothing and is proposed again with what the caller came with. With an `Idempotency-Key` it takes effect once, however often it comes.
 * @throws {NotApplied} {OutcomeUnknown}
 * @throws {Refusal} 400 where the headers that ask for it are not what they have to be; 401, 403.
 */
export async function propose(exchange: Exchange, command: Uint8Array): Promise<KvResult> {
  const { now } = exchange.host;
  const since = now();
  const result = await proposeOnce(exchange, command);
  if (result.type !== "unauthenticated" || exchange.caller.type === "bearer") return result;
  exchange.timeoutMs = Math.max(1, exchange.timeoutMs - (now() - since));
  await exchange.enterAgain();
  return await proposeOnce(exchange, command);
}

async function proposeOnce(exchange: Exchange, command: Uint8Array): Promise<KvResult> {
  const { admission, replica, machine } = exchange.host;
  const { headers } = exchange.request;
  if (exchange.caller.type === "bearer") {
    const decoded = decodeCommand(command);
    const firstOf: FirstOf = (lease, range) => machine.store.firstKeyOf(lease, range);
    await exchange.may(() => neededBy(decoded, firstOf) ?? []);
  }
  const session = headers.get(idempotencyHeader);
  const payload = session === null ? command : keyed(session, headers, command);
  const tokened = withToken(exchange, payload);
  const { result } = await admission.through(
    replica.propose(tokened, exchange.timeoutMs, exchange.span),
  );
  if (result.type === "keysFull") {
    throw keysFull(result.revision, machine.keysFreeAt - replica.time());
  }
  return result;
}

/** Room comes with the first session that is forgotten: till then, in so many milliseconds, the same would be answered. */
function keysFull(revision: number, inMs: number | null): Refusal {
  const retryAfter = Math.max(1, Math.ceil((inMs ?? 0) / 1000));
  const detail = "no more idempotency keys can be kept now";
  return new Refusal("overloaded", detail, { revision, bound: "idempotency_keys", retryAfter });
}

/** Leases go when their time is over, or their clients are done: nobody knows when the next will. */
function leasesFull(revision: number): Refusal {
  const retryAfter = leasesRetrySeconds;
  const detail = "there can be no more leases now";
  return new Refusal("overloaded", detail, { revision, bound: "leases", retryAfter });
}

/** Every replica asks again whether the caller may: where the cluster has no token yet, none does. */
export function withToken({ caller, host }: Exchange, command: Uint8Array): Uint8Array {
  switch (caller.type) {
    case "anybody":
      return command;
    case "inside":
      if (!host.machine.access.isRequired) return command;
      return encodeCommand({ type: "as", token: null, command });
    case "bearer":
      return encodeCommand({ type: "as", token: caller.token, command });
  }
}

function keyed(session: string, headers: Headers, command: Uint8Array): Uint8Array {
  if (!isSession(session)) {
    throw badRequest("Idempotency-Key takes 1 to 64 printable ASCII characters");
  }
  return encodeCommand({ type: "keyed", session, ...sequenceOf(headers), command });
}

/** Which of a session's commands this is. Without a sequence the session is of one command. */
function sequenceOf(headers: Headers): { readonly number: number; readonly done: number } {
  const header = headers.get(sequenceHeader);
  if (header === null) return { number: 0, done: 0 };
  const [, first = "", second = ""] = /^(\d{1,16})[ \t]*;[ \t]*done=(\d{1,16})$/.exec(header) ?? [];
  const number = Number(first);
  const done = Number(second);
  if (first !== "" && Number.isSafeInteger(number) && done <= number) return { number, done };
  throw badRequest(
    "Holdfast-Sequence takes a number and the lowest one that is open, like 7;done=5",
  );
}

/** Why a command changed nothing. */
export function refusalOfResult(result: KvResult): Refusal {
  const { revision } = result;
  switch (result.type) {
    case "conditionFailed":
      return conditionRefusal(result.current, revision);
    case "noLease":
      return new Refusal("not_found", `there is no lease ${result.lease}`, { revision });
    case "notInteger": {
      const key = textOfKey(result.key)?.slice(0, keyBytesMax) ?? "the key";
      const detail = `${JSON.stringify(key)} holds something else than a 64-bit integer`;
      return new Refusal("precondition_failed", detail, { revision });
    }
    case "tooMuch": {
      const { limit } = result;
      const detail = `what it reads comes to more than ${limit} bytes`;
      return new Refusal("too_large", detail, { revision, members: { limit } });
    }
    case "keyReused":
      return new Refusal("idempotency_mismatch", "the Idempotency-Key came with another request", {
        revision,
      });
    case "keyDone":
      return new Refusal(
        "idempotency_mismatch",
        "this request changed nothing: its client has said that it has the answer to it",
        { revision },
      );
    case "keysFull":
      return keysFull(revision, null);
    case "leasesFull":
      return leasesFull(revision);
    case "unauthenticated":
      return unknownToken(revision);
    case "forbidden":
      return forbidden(revision);
    case "accessRefused":
      return accessRefusal(result.reason, revision);
    case "malformed":
      // In the log and void: this node wrote a command that the one which applied it can't read.
      return new Refusal("internal", `the command was not understood: ${result.detail}`, {
        revision,
        outcome: "not_applied",
      });
    case "put":
    case "deleted":
    case "transaction":
    case "batch":
    case "lease":
    case "revoked":
    case "expired":
    case "configured":
    case "upgraded":
    case "restoring":
    case "restored":
    case "restoreRefused":
    case "accessChanged":
      // Applied, by all that can be told, and the node that applied it says so in words of another version.
      return new Refusal("internal", `an unexpected result: ${result.type}`, {
        revision,
        outcome: "unknown",
      });
  }
}

function accessRefusal(reason: AccessRefusal, revision: number): Refusal {
  switch (reason) {
    case "no_such_role":
      return new Refusal("not_found", "there is no such role", { revision });
    case "no_such_token":
      return new Refusal("not_found", "there is no such token", { revision });
    case "role_in_use":
      return failed("tokens have this role: delete them first, or put it without grants");
    case "last_root":
      return failed("it is the last token of the role root: make another one first");
    case "token_exists":
    case "not_first":
      return failed("there is such a token already");
    case "not_required":
      return failed("this cluster has no root token, and asks for none: see --auth");
    case "full": {
      const limit = accessBytesMax;
      const detail = `there can be ${rolesMax} roles and ${tokensMax} tokens, of ${limit} bytes`;
      return new Refusal("too_large", detail, { revision, members: { limit } });
    }
  }
  function failed(detail: string): Refusal {
    return new Refusal("precondition_failed", detail, { revision, members: { revision: null } });
  }
}

/** @param current the revision that the key is at, 0 where it is absent; null where several checks didn't hold. */
function conditionRefusal(current: number | null, revision: number): Refusal {
  const state = current === null
    ? "several conditions do not hold"
    : current === 0
    ? "the key is absent"
    : `the key is at revision ${current}`;
  return new Refusal("precondition_failed", state, {
    revision,
    headers: current === null || current === 0 ? {} : { etag: entityTagOf(current) },
    members: { revision: current },
  });
}
