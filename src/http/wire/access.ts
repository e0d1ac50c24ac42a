/** `/v1/access`: roles and tokens. */
import * as v from "valibot";
import { type Grant, grantsMax, tokenRolesMax, verbs } from "../../kv/access/grant.ts";
import { bytes, upTo } from "./common.ts";
import { rangeEntries, type RangeFields } from "./operations.ts";

const name: v.GenericSchema<unknown, string> = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9._-]{1,64}$/, "takes 1 to 64 of A-Z a-z 0-9 . _ -"),
);

/** Verbs on one key, on all keys with a prefix, or from `start` to before `end`; on all keys where none is said. */
export interface GrantFields extends RangeFields {
  readonly verbs: Grant["verbs"];
  readonly key?: string | Uint8Array | undefined;
}
const GrantFields: v.GenericSchema<unknown, GrantFields> = v.strictObject({
  ...rangeEntries,
  verbs: v.pipe(v.array(v.picklist(verbs)), v.minLength(1)),
  key: v.optional(bytes),
});

/** The body of `PUT /v1/access/roles/{name}`. */
export interface RoleRequest {
  readonly grants: readonly GrantFields[];
}
export const RoleRequest: v.GenericSchema<unknown, RoleRequest> = v.strictObject({
  grants: upTo(grantsMax, GrantFields),
});

/** A role, as it was put. */
export interface RoleAnswer extends RoleRequest {
  readonly name: string;
}
export const RoleAnswer: v.GenericSchema<unknown, RoleAnswer> = v.object({
  name: v.string(),
  grants: v.array(GrantFields),
});

/** `GET /v1/access/roles`, by name. `root`, which may do everything, is not among them. */
export interface RoleListAnswer {
  readonly roles: readonly RoleAnswer[];
}
export const RoleListAnswer: v.GenericSchema<unknown, RoleListAnswer> = v.object({
  roles: v.array(RoleAnswer),
});

/** The body of `POST /v1/access/tokens`. */
export interface TokenRequest {
  /** Tokens of one name are one principal to idempotency keys. */
  readonly name: string;
  readonly roles: readonly string[];
}
export const TokenRequest: v.GenericSchema<unknown, TokenRequest> = v.strictObject({
  name,
  roles: upTo(tokenRolesMax, name),
});

/** A new token: nobody can ask for it again. */
export interface NewTokenAnswer {
  readonly id: string;
  readonly token: string;
}
export const NewTokenAnswer: v.GenericSchema<unknown, NewTokenAnswer> = v.object({
  id: v.string(),
  token: v.string(),
});

export interface TokenAnswer {
  readonly id: string;
  readonly name: string;
  readonly roles: readonly string[];
}
const TokenAnswer: v.GenericSchema<unknown, TokenAnswer> = v.object({
  id: v.string(),
  name: v.string(),
  roles: v.array(v.string()),
});

/** `GET /v1/access/tokens`, by id. */
export interface TokenListAnswer {
  readonly tokens: readonly TokenAnswer[];
}
export const TokenListAnswer: v.GenericSchema<unknown, TokenListAnswer> = v.object({
  tokens: v.array(TokenAnswer),
});

/** A role or a token is gone. */
export interface AccessGoneAnswer {
  readonly deleted: string;
}
export const AccessGoneAnswer: v.GenericSchema<unknown, AccessGoneAnswer> = v.object({
  deleted: v.string(),
});

/** `GET /v1/access/self`: what whoever asks may do. */
export interface SelfAnswer {
  /** Whether this node asks for tokens; else everybody may do everything. */
  readonly required: boolean;
  /** Null where it asked for none. */
  readonly token: TokenAnswer | null;
  /** Of all its roles; `root` needs none. */
  readonly grants: readonly GrantFields[];
}
export const SelfAnswer: v.GenericSchema<unknown, SelfAnswer> = v.object({
  required: v.boolean(),
  token: v.nullable(TokenAnswer),
  grants: v.array(GrantFields),
});
