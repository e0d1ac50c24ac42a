/** What `/openapi.json` tells of roles and tokens, and of who may do what. */
import { rightTo } from "./access/rights.ts";
import {
  answer,
  bodyErrors,
  confirmation,
  document,
  type Documented,
  once,
  path,
  readErrors,
  writeErrors,
} from "./openapi-parts.ts";
import * as wire from "./wire.ts";

const tokenId = path("id", "The token's id.");
const roleName = path("name", "The role's name.");

export const accessRoutes: readonly Documented[] = [
  {
    path: "/v1/access/self",
    method: "get",
    summary: "What whoever asks may do",
    parameters: confirmation,
    answers: { 200: answer("Its token's roles, and all that they grant.", wire.SelfAnswer) },
    errors: readErrors,
  },
  {
    path: "/v1/access/tokens",
    method: "get",
    summary: "All tokens, but not what they are let in by",
    parameters: confirmation,
    answers: { 200: answer("By id.", wire.TokenListAnswer) },
    errors: readErrors,
  },
  {
    path: "/v1/access/tokens",
    method: "post",
    summary: "Make a token",
    body: document(wire.TokenRequest),
    answers: { 201: answer("All of it, which nobody is told again.", wire.NewTokenAnswer) },
    errors: [...bodyErrors.filter((status) => status !== 422), 404, 412],
  },
  {
    path: "/v1/access/tokens/{id}",
    method: "delete",
    summary: "Delete a token",
    parameters: [tokenId, ...once],
    answers: { 200: answer("Whoever has it is let in no more.", wire.AccessGoneAnswer) },
    errors: [...writeErrors, 404, 412],
  },
  {
    path: "/v1/access/roles",
    method: "get",
    summary: "All roles but root",
    parameters: confirmation,
    answers: { 200: answer("By name.", wire.RoleListAnswer) },
    errors: readErrors,
  },
  {
    path: "/v1/access/roles/{name}",
    method: "put",
    summary: "Say what a role grants",
    parameters: [roleName, ...once],
    body: document(wire.RoleRequest),
    answers: { 200: answer("For all tokens that have it, from now on.", wire.RoleAnswer) },
    errors: [...bodyErrors, 412],
  },
  {
    path: "/v1/access/roles/{name}",
    method: "delete",
    summary: "Delete a role that no token has",
    parameters: [roleName, ...once],
    answers: { 200: answer("It is none.", wire.AccessGoneAnswer) },
    errors: [...writeErrors, 404, 412],
  },
];

/** How tokens are shown. */
export const securitySchemes = {
  token: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "hf_<id>_<secret>",
    description: "Where the cluster has access control (--auth on).",
  },
} as const;

/** What a route tells of who is let in. */
export function securityOf({ path, method }: Documented): {
  readonly security: readonly object[];
  readonly errors: readonly number[];
  readonly "x-holdfast-right": string;
} {
  const right = rightTo(path, method.toUpperCase()) ?? "root";
  return right === "open"
    ? { security: [], errors: [], "x-holdfast-right": right }
    : { security: [{ token: [] }], errors: [401, 403], "x-holdfast-right": right };
}
