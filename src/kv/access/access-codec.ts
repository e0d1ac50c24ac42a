/**
 * Roles, tokens and edits of them as items of CBOR, in commands and in snapshots.
 *
 *     role  := name, [grant…]
 *     grant := [verbs, start, end | null]       verbs: a bit for each, in the order in which `grant.ts` has them
 *     token := id, name, hash, [role's name…]
 */
import { rangeBytesMax } from "../command.ts";
import { checkBytes, checkList, checkRange, checkWhole, malformed } from "../command-parts.ts";
import { keyToBytes } from "../key.ts";
import {
  type AccessEdit,
  type Grant,
  grantsMax,
  hashBytes,
  isAccessName,
  isTokenId,
  type Role,
  rootRole,
  type Token,
  tokenRolesMax,
  verbs,
} from "./grant.ts";

const allVerbs = 2 ** verbs.length - 1;

export function roleItems({ name, grants }: Role): readonly unknown[] {
  return [name, grants.map(grantItem)];
}

export function tokenItems({ id, name, hash, roles }: Token): readonly unknown[] {
  return [id, name, hash, roles];
}

/** What stands behind an edit's type. */
export function editItems(edit: AccessEdit): readonly unknown[] {
  switch (edit.type) {
    case "putRole":
      return roleItems(edit.role);
    case "deleteRole":
      return [edit.name];
    case "putToken":
      return [...tokenItems(edit.token), edit.first];
    case "deleteToken":
      return [edit.id];
  }
}

/** Null where there is no such edit. @throws {MalformedBytes} where one of its items is not what it has to be. */
export function editOf(type: unknown, items: readonly unknown[]): AccessEdit | null {
  switch (`${String(type)} ${items.length}`) {
    case "putRole 2":
      return { type: "putRole", role: roleOf(items) };
    case "deleteRole 1":
      return { type: "deleteRole", name: checkName(items[0]) };
    case "putToken 5": {
      const first = items[4];
      if (typeof first !== "boolean") throw malformed("neither true nor false");
      return { type: "putToken", token: tokenOf(items.slice(0, 4)), first };
    }
    case "deleteToken 1":
      return { type: "deleteToken", id: checkTokenId(items[0]) };
    default:
      return null;
  }
}

/** @throws {MalformedBytes} */
export function roleOf([name, grants]: readonly unknown[]): Role {
  const role = { name: checkName(name), grants: checkList(grants, grantsMax, grantOf) };
  if (role.name === rootRole) throw malformed("a root role of somebody's own");
  return role;
}

/** @throws {MalformedBytes} */
export function tokenOf([id, name, hash, roles]: readonly unknown[]): Token {
  const bytes = checkBytes(hash, "hash", hashBytes);
  if (bytes.length !== hashBytes) throw malformed("a hash that is too short");
  const names = checkList(roles, tokenRolesMax, checkName);
  if (new Set(names).size !== names.length) throw malformed("a role comes twice");
  // The bytes may be a view into a whole log record.
  return { id: checkTokenId(id), name: checkName(name), hash: bytes.slice(), roles: names };
}

/** @throws {MalformedBytes} */
export function checkTokenId(value: unknown): string {
  if (typeof value === "string" && isTokenId(value)) return value;
  throw malformed("an id of no token");
}

function checkName(value: unknown): string {
  if (typeof value === "string" && isAccessName(value)) return value;
  throw malformed("a name that is not one");
}

function grantItem({ verbs: granted, start, end }: Grant): readonly unknown[] {
  const bits = granted.reduce((sum, verb) => sum + 2 ** verbs.indexOf(verb), 0);
  return [bits, keyToBytes(start), end === null ? null : keyToBytes(end)];
}

function grantOf(value: unknown): Grant {
  if (!Array.isArray(value) || value.length !== 3) throw malformed("a grant is of three parts");
  const bits = checkWhole(value[0], 1, allVerbs);
  return {
    verbs: verbs.filter((_, at) => (bits & 2 ** at) !== 0),
    ...checkRange(value[1], value[2], rangeBytesMax),
  };
}
