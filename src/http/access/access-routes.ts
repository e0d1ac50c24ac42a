/** `/v1/access`: roles and tokens. Root's alone, but for what a token may know of itself. */
import { encodeCommand } from "../../kv/command-codec.ts";
import {
  type AccessEdit,
  accessVersion,
  isAccessName,
  isTokenId,
  type Role,
  rootRole,
  type Token,
} from "../../kv/access/grant.ts";
import { anywhere } from "../../kv/access/needs.ts";
import { readDocument } from "../body.ts";
import type { AnswerExtra, Exchange } from "../exchange.ts";
import { badRequest, Refusal } from "../problem.ts";
import { propose, refusalOfResult } from "../proposing.ts";
import { confirmNames, confirmRead } from "../reading.ts";
import { pathOf, percentDecode, Query } from "../target.ts";
import { requireVersion } from "../version-gate.ts";
import {
  type AccessGoneAnswer,
  idempotencyHeader,
  type NewTokenAnswer,
  type RoleAnswer,
  type RoleListAnswer,
  RoleRequest,
  type SelfAnswer,
  type TokenAnswer,
  type TokenListAnswer,
  TokenRequest,
} from "../wire.ts";
import { grantOf, grantShown } from "./grants.ts";

/** What stands before a name in a path, and before an id. */
export const rolePrefix = "/v1/access/roles/";
export const tokenPrefix = "/v1/access/tokens/";

/** `PUT` takes a whole role: several kilobytes for each of its grants, at most. */
const roleDocumentBytesMax = 1024 * 1024;
const asRoot = () => [anywhere(rootRole)];

/** `GET /v1/access/self`: what whoever asks may do. */
export async function getSelf(exchange: Exchange): Promise<Response> {
  const { host, caller, wantsCbor } = exchange;
  const headers = await confirmed(exchange, () => []);
  const { access } = host.machine;
  const token = caller.type === "bearer" ? access.principal(caller.token)?.token ?? null : null;
  const grants = token === null ? [] : access.grantsOf(token);
  const answer: SelfAnswer = {
    required: host.gate.isClosed,
    token: token === null ? null : tokenShown(token),
    grants: grants.map((grant) => grantShown(grant, wantsCbor)),
  };
  return exchange.document(200, answer, headers);
}

/** `GET /v1/access/tokens`: all of them, without what they are let in by. */
export async function listTokens(exchange: Exchange): Promise<Response> {
  const extra = await confirmed(exchange, asRoot);
  const tokens = [...exchange.host.machine.access.tokens()].map(tokenShown);
  return exchange.document(200, { tokens } satisfies TokenListAnswer, extra);
}

/** `POST /v1/access/tokens`: 201 with a new token, which nobody is told again. */
export async function postToken(exchange: Exchange): Promise<Response> {
  const { credentials } = exchange.host;
  if (exchange.request.headers.has(idempotencyHeader)) {
    throw badRequest("Idempotency-Key: a token can't be told twice; list them, and delete it");
  }
  const { name, roles } = await readDocument(exchange, TokenRequest);
  if (new Set(roles).size !== roles.length) throw badRequest("body: roles: one comes twice");
  if (credentials === null) throw notRequired();
  const { id, text } = credentials.draw();
  const token: Token = { id, name, hash: credentials.hash(text), roles };
  const { revision } = await edit(exchange, { type: "putToken", token, first: false });
  const headers = { "cache-control": "no-store" };
  const answer: NewTokenAnswer = { id, token: text };
  return exchange.document(201, answer, { revision, headers });
}

/** `DELETE /v1/access/tokens/{id}`: 200; whoever has it is let in no more. */
export async function deleteToken(exchange: Exchange): Promise<Response> {
  const id = nameIn(exchange, tokenPrefix);
  if (!isTokenId(id)) throw new Refusal("not_found", "there is no such token");
  const { revision } = await edit(exchange, { type: "deleteToken", id });
  return exchange.document(200, { deleted: id } satisfies AccessGoneAnswer, { revision });
}

/** `GET /v1/access/roles`. */
export async function listRoles(exchange: Exchange): Promise<Response> {
  const extra = await confirmed(exchange, asRoot);
  const { wantsCbor } = exchange;
  const roles = [...exchange.host.machine.access.roles()].map((role) => roleShown(role, wantsCbor));
  return exchange.document(200, { roles } satisfies RoleListAnswer, extra);
}

/** `PUT /v1/access/roles/{name}`: 200; its grants are these from now on, for all tokens that have it. */
export async function putRole(exchange: Exchange): Promise<Response> {
  const name = nameIn(exchange, rolePrefix);
  if (!isAccessName(name)) throw badRequest("path: a role takes 1–64 of A-Z a-z 0-9 . _ -");
  if (name === rootRole) throw badRequest("path: root may do everything, and stays as it is");
  const document = await readDocument(exchange, RoleRequest, roleDocumentBytesMax);
  const role: Role = { name, grants: document.grants.map(grantOf) };
  const { revision } = await edit(exchange, { type: "putRole", role });
  return exchange.document(200, roleShown(role, exchange.wantsCbor), { revision });
}

/** `DELETE /v1/access/roles/{name}`: 200 where no token has it. */
export async function deleteRole(exchange: Exchange): Promise<Response> {
  const name = nameIn(exchange, rolePrefix);
  if (!isAccessName(name) || name === rootRole) {
    throw badRequest("path: a role takes 1–64 of A-Z a-z 0-9 . _ -, and root stays");
  }
  const { revision } = await edit(exchange, { type: "deleteRole", name });
  return exchange.document(200, { deleted: name } satisfies AccessGoneAnswer, { revision });
}

/** @throws {Refusal} where it changed nothing. {NotApplied} {OutcomeUnknown} */
async function edit(
  exchange: Exchange,
  command: AccessEdit,
): Promise<{ readonly revision: number }> {
  const { host } = exchange;
  if (!host.gate.isClosed) throw notRequired();
  requireVersion(host, "access control", accessVersion);
  const result = await propose(exchange, encodeCommand(command));
  if (result.type !== "accessChanged") throw refusalOfResult(result);
  return result;
}

async function confirmed(
  exchange: Exchange,
  needs: Parameters<typeof confirmRead>[2],
): Promise<AnswerExtra> {
  const query = new Query(exchange.target, confirmNames, exchange.host.limits.queryBytesMax);
  const headers = await confirmRead(exchange, query, needs);
  return { headers: { ...headers, "cache-control": "no-store" } };
}

function nameIn({ target }: Exchange, prefix: string): string {
  return percentDecode(pathOf(target).slice(prefix.length), "path");
}

function tokenShown({ id, name, roles }: Token): TokenAnswer {
  return { id, name, roles };
}

function roleShown({ name, grants }: Role, wantsCbor: boolean): RoleAnswer {
  return { name, grants: grants.map((grant) => grantShown(grant, wantsCbor)) };
}

function notRequired(): Refusal {
  const detail =
    "this cluster has no root token, and asks for none: start its nodes with --auth on";
  return new Refusal("precondition_failed", detail, { members: { revision: null } });
}
