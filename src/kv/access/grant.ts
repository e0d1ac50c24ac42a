/**
 * Who may do what: tokens have roles, roles have grants, and a grant allows verbs over a range of keys. All of it is part
 * of the replicated state. Of a token there is only its hash: whoever reads the log, a snapshot or a backup learns none.
 */
import type { KeyRange } from "../ordered-map.ts";

/** The cluster's version (`cluster-version.ts`) that knows all this. */
export const accessVersion = 2;

/** What a grant can allow. `member`, `backup` and `metrics` are about no key: any range will do. */
export const verbs = ["read", "write", "watch", "lease", "member", "backup", "metrics"] as const;
export type Verb = typeof verbs[number];

/** These verbs, from `start` on and before `end`; a null `end` is "no end". */
export interface Grant extends KeyRange {
  /** In the order of {@link verbs}, each once. */
  readonly verbs: readonly Verb[];
}

export interface Role {
  readonly name: string;
  readonly grants: readonly Grant[];
}

/** The role that may do everything. It is always there, and nobody changes it. */
export const rootRole = "root";

/** Names a token, and is no secret. */
export type TokenId = string;

export interface Token {
  readonly id: TokenId;
  /** Tokens of one name are one principal: what one has done once, another is not to do again. */
  readonly name: string;
  /** SHA-256 of the token's text. */
  readonly hash: Uint8Array;
  readonly roles: readonly string[];
}

/** What nobody but `root` may ask for, and the leader alone without a token: for the first one. */
export type AccessEdit =
  | { readonly type: "putRole"; readonly role: Role }
  | { readonly type: "deleteRole"; readonly name: string }
  /** `first` is for the first token of a cluster alone, which has to be root's. */
  | { readonly type: "putToken"; readonly token: Token; readonly first: boolean }
  | { readonly type: "deleteToken"; readonly id: TokenId };

/** Why an edit changed nothing. */
export const accessRefusals = [
  /** A cluster without a root token asks nobody for one: there is nothing to be edited. */
  "not_required",
  /** There is a first token already. */
  "not_first",
  "no_such_role",
  "no_such_token",
  "role_in_use",
  "token_exists",
  /** Nobody could edit anything any more. */
  "last_root",
  /** Beyond the bounds below. */
  "full",
] as const;
export type AccessRefusal = typeof accessRefusals[number];

export const rolesMax: number = 1000;
export const tokensMax: number = 10_000;
/** In one role. */
export const grantsMax: number = 128;
/** Of one token. */
export const tokenRolesMax: number = 64;
/** What all roles and tokens may come to in memory, in bytes. */
export const accessBytesMax: number = 16 * 1024 * 1024;
export const hashBytes = 32;

/** Whether `text` may name a role or a token. */
export function isAccessName(text: string): boolean {
  return /^[A-Za-z0-9._-]{1,64}$/.test(text);
}

/** Whether `text` may be a token's id. */
export function isTokenId(text: string): boolean {
  return /^[a-z0-9]{8,32}$/.test(text);
}

/** About what a role costs in memory, in bytes. */
export function roleBytes({ name, grants }: Role): number {
  let bytes = 128 + name.length;
  for (const { start, end } of grants) bytes += 128 + start.length + (end?.length ?? 0);
  return bytes;
}

/** About what a token costs in memory, in bytes. */
export function tokenBytes({ id, name, roles }: Token): number {
  return 256 + id.length + name.length + roles.reduce((bytes, role) => bytes + 32 + role.length, 0);
}
