/** What each route needs of whoever asks, in one table: `app.ts` takes no route that isn't in it. */
import { rootRole, type Verb } from "../../kv/access/grant.ts";
import { anywhere } from "../../kv/access/needs.ts";
import type { Need } from "../../kv/access/principal.ts";

/**
 * What is needed at the door, before anything of a request is read. What its keys need comes on top, once they are known.
 *
 * | right | who is let in |
 * |---|---|
 * | `open` | everybody, without a token |
 * | `token` | whoever has a token |
 * | `operations` | whoever has a token; each of the operations needs its own verbs |
 * | a verb | whose roles grant it, for any keys |
 * | `root` | whose role it is |
 */
export type Right = "open" | "token" | "operations" | Verb | typeof rootRole;

type Methods = Readonly<Partial<Record<"GET" | "PUT" | "POST" | "DELETE", Right>>>;

/** By path, as `openapi.json` has it, and method. `HEAD` needs what `GET` does. */
export const rights: Readonly<Record<string, Methods>> = {
  "/v1/kv/{key}": { GET: "read", PUT: "write", DELETE: "write" },
  "/v1/kv": { GET: "read", DELETE: "write" },
  "/v1/txn": { POST: "operations" },
  "/v1/batch": { POST: "operations" },
  "/v1/watch": { GET: "watch" },
  "/v1/leases": { GET: "lease", POST: "lease" },
  "/v1/leases/{id}": { GET: "lease", DELETE: "lease" },
  "/v1/leases/{id}/keepalive": { POST: "lease" },
  "/v1/status": { GET: "token" },
  // All keys: see `getLog`.
  "/v1/log": { GET: "read" },
  "/v1/leader": { PUT: "member" },
  "/v1/members": { GET: "member", POST: "member", PUT: "member" },
  "/v1/members/{id}": { DELETE: "member" },
  "/v1/backup": { GET: "backup" },
  "/v1/restore": { POST: "root" },
  "/v1/access/self": { GET: "token" },
  "/v1/access/tokens": { GET: "root", POST: "root" },
  "/v1/access/tokens/{id}": { DELETE: "root" },
  "/v1/access/roles": { GET: "root" },
  "/v1/access/roles/{name}": { PUT: "root", DELETE: "root" },
  "/metrics": { GET: "metrics" },
  "/livez": { GET: "open" },
  "/readyz": { GET: "open" },
  "/openapi.json": { GET: "open" },
};

/** Null where the table has no such route. */
export function rightTo(path: string, method: string): Right | null {
  const methods = new Map<string, Right>(Object.entries(rights[path] ?? {}));
  return methods.get(method) ?? null;
}

/** What is checked at the door. */
export function neededAtDoor(right: Exclude<Right, "open">): readonly Need[] {
  return right === "token" || right === "operations" ? [] : [anywhere(right)];
}

/**
 * Whether a node that has not heard of tokens yet asks whether there are some before it lets anybody in: what is there
 * only where there are tokens, it would say is not there.
 */
export function asksFirst(right: Right): boolean {
  return right === rootRole;
}
