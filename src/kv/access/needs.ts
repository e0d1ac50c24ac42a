/**
 * What a command needs of whoever asks for it. A node asks this before it proposes a command, and every replica again
 * when it applies it: a right that was taken away before the command's place in the log is not there any more.
 */
import {
  type Check,
  type Command,
  isSession,
  type LeaseId,
  type Operation,
  type PutExtras,
} from "../command.ts";
import { type Key, rangeOfKey } from "../key.ts";
import type { Access } from "./access.ts";
import type { KeyRange } from "../ordered-map.ts";
import { isAccessName, rootRole, type TokenId, type Verb } from "./grant.ts";
import { everywhere, type Need } from "./principal.ts";

/** The first key in a range that ends with a lease, if there is one. */
export type FirstOf = (lease: LeaseId, range: KeyRange) => Key | undefined;

/**
 * Null for what nobody may ask for: it is the leader's own, or somebody's already. A keyed command needs what the one in
 * it does.
 */
export function neededBy(command: Command, firstOf: FirstOf): readonly Need[] | null {
  const neededByEach = (operation: Operation): readonly Need[] =>
    neededByOperation(operation, firstOf);
  switch (command.type) {
    case "put":
    case "delete":
    case "deleteRange":
      return neededByEach(command);
    case "transaction":
      return [
        ...command.checks.map(neededByCheck),
        ...command.then.flatMap(neededByEach),
        ...command.else.flatMap(neededByEach),
      ];
    case "batch":
      return command.items.flatMap(({ checks, operation }) => [
        ...checks.map(neededByCheck),
        ...neededByEach(operation),
      ]);
    case "grant":
      return [anywhere("lease")];
    case "keepAlive":
      return neededByLease(command.lease, ["lease"], firstOf);
    case "revoke":
      return neededByLease(command.lease, ["lease", "write"], firstOf);
    case "restore":
    case "putRole":
    case "deleteRole":
    case "putToken":
    case "deleteToken":
      return [anywhere(rootRole)];
    case "as":
    case "keyed":
    case "expire":
    case "configure":
    case "upgrade":
      return null;
  }
}

/** The leases' verb somewhere, and all of `verbs` on the keys that the lease has. */
export function neededByLease(
  lease: LeaseId,
  verbs: readonly Verb[],
  firstOf: FirstOf,
): readonly Need[] {
  return [anywhere("lease"), ...verbs.map((verb) => onAll(verb, lease, firstOf))];
}

/** What an operation needs, alone or among others. */
function neededByOperation(operation: Operation, firstOf: FirstOf): readonly Need[] {
  switch (operation.type) {
    case "put":
      return neededByPut(operation, firstOf);
    case "delete":
      return [on("write", operation.key)];
    case "deleteRange":
      return [{ verb: "write", range: operation }];
    case "add":
      return [on("read", operation.key), on("write", operation.key)];
    case "get":
      return [on("read", operation.key)];
    case "list":
      return [{ verb: "read", range: operation }];
  }
}

/** Whoever has a key under a lease can keep it from whoever has none of the others, and so has to have them all. */
function neededByPut(
  { key, extras }: { readonly key: Key; readonly extras?: PutExtras },
  firstOf: FirstOf,
): readonly Need[] {
  const write = on("write", key);
  const lease = extras?.lease ?? null;
  return lease === null ? [write] : [write, on("lease", key), onAll("lease", lease, firstOf)];
}

function neededByCheck({ key }: Check): Need {
  return on("read", key);
}

/** A verb, somewhere. */
export function anywhere(verb: Need["verb"]): Need {
  return { verb, range: null };
}

/** A verb, on one key. */
export function on(verb: Verb, key: Key): Need {
  return { verb, range: rangeOfKey(key) };
}

/** A verb, on each key of a lease, however many these are. */
function onAll(verb: Verb, lease: LeaseId, firstOf: FirstOf): Need {
  return { verb, range: everywhere, firstIn: (range) => firstOf(lease, range) };
}

/** Stands between a session's own name and its principal's: no session's name holds it. */
const ofPrincipal = "\x7f";

/** The session of a principal, or a node's own: each has sessions of its own, whatever they call them. */
export function sessionOf(session: string, principal: string | null): string {
  return principal === null ? session : session + ofPrincipal + principal;
}

/** Whether {@link sessionOf} may have given this. */
export function isSessionOf(text: string): boolean {
  const at = text.indexOf(ofPrincipal);
  return at < 0
    ? isSession(text)
    : isSession(text.slice(0, at)) && isAccessName(text.slice(at + 1));
}

/** How a command is let in. */
export type Admission =
  /** `name` is the principal's; null where a node vouches for what its own process asks. */
  | { readonly type: "admitted"; readonly name: string | null }
  /** There is no such token (any more). */
  | { readonly type: "unauthenticated" }
  /** Its roles don't allow it (any more). */
  | { readonly type: "forbidden" };

/** Whether `token` may do what needs this. A null token is the node's own. */
export function admit(
  access: Access,
  token: TokenId | null,
  needs: readonly Need[],
): Admission {
  if (token === null) return { type: "admitted", name: null };
  const principal = access.principal(token);
  if (principal === undefined) return { type: "unauthenticated" };
  if (!principal.may(needs)) return { type: "forbidden" };
  return { type: "admitted", name: principal.token.name };
}
