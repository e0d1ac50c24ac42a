/**
 * Every route with every kind of token: who is let in, and who isn't, as it is declared here once more by hand. Nested
 * operations are requests of their own, each with the least that allows it.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { rights } from "../../../src/http/access/rights.ts";
import { bytesOf } from "../../kv/access/tokens.ts";
import { assertProblem } from "../fixture.ts";
import { AccessScene, bearer, type Granted, idOf, type Kind, kinds, strangers } from "./scene.ts";

interface Case {
  readonly name: string;
  /** As the table of rights has it. */
  readonly route: string;
  readonly method: string;
  /** What is asked for. */
  readonly target: string;
  readonly body?: string | object;
  readonly headers?: Readonly<Record<string, string>>;
  /** The answer to those who may. */
  readonly status: number;
  /** Who may, beside root. */
  readonly may: readonly Granted[] | "everybody" | "whoever has a token";
}

const some = (
  name: string,
  request: string,
  rest: Pick<Case, "status" | "may"> & Partial<Case>,
): Case => {
  const [method = "", target = ""] = request.split(" ");
  const path = target.split("?")[0] ?? "";
  return { name, route: path, method, target, ...rest };
};
const key = (name: string, request: string, rest: Pick<Case, "status" | "may"> & Partial<Case>) =>
  some(name, request, { route: "/v1/kv/{key}", ...rest });
const lease = (name: string, request: string, rest: Pick<Case, "status" | "may"> & Partial<Case>) =>
  some(name, request, { route: "/v1/leases/{id}", ...rest });

const readers = ["read a/", "read+write a/", "read all", "every verb"] as const;
const writers = ["write a/", "read+write a/", "write+lease a/", "every verb"] as const;
const leasers = ["lease a/", "write+lease a/", "every verb"] as const;
const leasedWriters = ["write+lease a/", "every verb"] as const;
const readWriters = ["read+write a/", "every verb"] as const;
const everything = ["every verb"] as const;
const readsAll = ["read all", "every verb"] as const;

const keys: readonly Case[] = [
  key("get", "GET /v1/kv/a/1", { status: 200, may: readers }),
  key("head", "HEAD /v1/kv/a/1", { status: 200, may: readers }),
  key("get, stale", "GET /v1/kv/a/1?consistency=stale", { status: 200, may: readers }),
  key("get of the past", "GET /v1/kv/a/1?revision=3", { status: 200, may: readers }),
  key("get of what isn't there", "GET /v1/kv/a/none", { status: 404, may: readers }),
  key("get elsewhere", "GET /v1/kv/b/1", { status: 200, may: readsAll }),
  key("get of the prefix itself", "GET /v1/kv/a", { status: 200, may: readsAll }),
  key("put", "PUT /v1/kv/a/new", { body: "v", status: 201, may: writers }),
  key("put with a time", "PUT /v1/kv/a/new?ttl=5s", { body: "v", status: 201, may: writers }),
  key("put elsewhere", "PUT /v1/kv/b/new", { body: "v", status: 201, may: everything }),
  key("put under a lease", "PUT /v1/kv/a/new?lease=1", {
    body: "v",
    status: 201,
    may: leasedWriters,
  }),
  key("put on a condition", "PUT /v1/kv/a/new", {
    body: "v",
    headers: { "if-none-match": "*" },
    status: 201,
    may: writers,
  }),
  key("put once", "PUT /v1/kv/a/new", {
    body: "v",
    headers: { "idempotency-key": "k" },
    status: 201,
    may: writers,
  }),
  key("put on a condition that fails", "PUT /v1/kv/a/1", {
    body: "v",
    headers: { "if-none-match": "*" },
    status: 412,
    may: writers,
  }),
  key("delete", "DELETE /v1/kv/a/1", { status: 200, may: writers }),
  key("delete elsewhere", "DELETE /v1/kv/b/1", { status: 200, may: everything }),
  some("list", "GET /v1/kv?prefix=a/", { status: 200, may: readers }),
  some("list of a part", "GET /v1/kv?start=a/1&end=a/2", { status: 200, may: readers }),
  some("list of more", "GET /v1/kv?start=a/1&end=b", { status: 200, may: readsAll }),
  some("list without values", "GET /v1/kv?start=a/1&values=false", { status: 200, may: readsAll }),
  some("list of all", "GET /v1/kv", { status: 200, may: readsAll }),
  some("list of the past", "GET /v1/kv?prefix=b&revision=2", { status: 200, may: readsAll }),
  some("delete of a range", "DELETE /v1/kv?prefix=a/", { status: 200, may: writers }),
  some("delete of more", "DELETE /v1/kv?start=a/&end=b", { status: 200, may: everything }),
];

const watching = ["watch a/", "every verb"] as const;
const streams: readonly Case[] = [
  some("watch", "GET /v1/watch?prefix=a/", { status: 200, may: watching }),
  some("watch of a key", "GET /v1/watch?key=a/1", { status: 200, may: watching }),
  some("watch from the past", "GET /v1/watch?prefix=a/&from=1", { status: 200, may: watching }),
  some("watch, stale", "GET /v1/watch?prefix=a/&consistency=stale", {
    status: 200,
    may: watching,
  }),
  some("watch of more", "GET /v1/watch?start=a/&end=b", { status: 200, may: everything }),
  some("watch of all", "GET /v1/watch", { status: 200, may: everything }),
];

/** Operations as transactions and batches have them, and who may. */
const operations: readonly (readonly [string, object, readonly Granted[]])[] = [
  ["put", { put: { key: "a/1", value: "v" } }, writers],
  ["put elsewhere", { put: { key: "b/1", value: "v" } }, everything],
  ["put under a lease", { put: { key: "a/1", value: "v", lease: "1" } }, leasedWriters],
  ["delete", { delete: { key: "a/1" } }, writers],
  ["delete of a range", { delete: { prefix: "a/" } }, writers],
  ["delete of more", { delete: { prefix: "a" } }, everything],
  ["add", { add: { key: "a/n", delta: 1 } }, readWriters],
  ["get", { get: { key: "a/1" } }, readers],
  ["get elsewhere", { get: { key: "b/1" } }, readsAll],
  ["list", { list: { prefix: "a/" } }, readers],
  ["list of more", { list: { prefix: "a" } }, readsAll],
];
const check = { key: "a/1", exists: true };
const both = (one: readonly Granted[], other: readonly Granted[]): readonly Granted[] =>
  one.filter((kind) => other.includes(kind));

const nested: readonly Case[] = operations.flatMap(([name, operation, may]) => [
  some(`${name} in a transaction`, "POST /v1/txn", {
    body: { then: [operation] },
    status: 200,
    may,
  }),
  some(`${name} in the half that doesn't come about`, "POST /v1/txn", {
    body: { if: [check], then: [], else: [operation] },
    status: 200,
    may: both(may, readers),
  }),
  some(`${name} behind another in a transaction`, "POST /v1/txn", {
    body: { then: [{ get: { key: "a/2" } }, operation] },
    status: 200,
    may: both(may, readers),
  }),
  some(`${name} in a batch`, "POST /v1/batch", { body: { ops: [operation] }, status: 200, may }),
  some(`${name} behind another in a batch`, "POST /v1/batch", {
    body: { ops: [{ put: { key: "a/0", value: "v" } }, operation] },
    status: 200,
    may: both(may, writers),
  }),
]);
const checks: readonly Case[] = [
  some("a check alone", "POST /v1/txn", { body: { if: [check] }, status: 200, may: readers }),
  some("a check elsewhere", "POST /v1/txn", {
    body: { if: [{ key: "b/1", value: "v" }] },
    status: 200,
    may: readsAll,
  }),
  some("a check before a put", "POST /v1/txn", {
    body: { if: [check], then: [{ put: { key: "a/1", value: "v" } }] },
    status: 200,
    may: readWriters,
  }),
  some("a check of a batch's put", "POST /v1/batch", {
    body: { ops: [{ put: { key: "a/1", value: "v" }, if: [check] }] },
    status: 200,
    may: readWriters,
  }),
  some("nothing", "POST /v1/txn", { body: {}, status: 200, may: "whoever has a token" }),
];

const leases: readonly Case[] = [
  some("leases", "GET /v1/leases", { status: 200, may: leasers }),
  some("a lease's grant", "POST /v1/leases", { body: { ttl: "5s" }, status: 201, may: leasers }),
  lease("a lease", "GET /v1/leases/1", { status: 200, may: leasers }),
  lease("a lease with keys", "GET /v1/leases/2", { status: 200, may: leasers }),
  lease("a lease with keys elsewhere", "GET /v1/leases/3", { status: 200, may: everything }),
  lease("a lease's end", "DELETE /v1/leases/1", { status: 200, may: leasers }),
  lease("a lease's end with keys", "DELETE /v1/leases/2", { status: 200, may: leasedWriters }),
  lease("a lease's end with keys elsewhere", "DELETE /v1/leases/3", {
    status: 200,
    may: everything,
  }),
  ...[leasers, leasers, everything].map((may, at) =>
    some(`lease ${at + 1} kept alive`, `POST /v1/leases/${at + 1}/keepalive`, {
      route: "/v1/leases/{id}/keepalive",
      status: 200,
      may,
    })
  ),
];

const members = ["member", "every verb"] as const;
const url = "http://127.0.0.1:4009";
const cluster: readonly Case[] = [
  some("status", "GET /v1/status", { status: 200, may: "whoever has a token" }),
  some("log", "GET /v1/log", { status: 200, may: readsAll }),
  some("leader", "PUT /v1/leader", { body: { id: null }, status: 200, may: members }),
  some("members", "GET /v1/members", { status: 200, may: members }),
  some("a member's coming", "POST /v1/members", {
    body: { id: "n9", url },
    status: 201,
    may: members,
  }),
  some("members' setting", "PUT /v1/members", {
    body: { voters: ["n1", "n2", "n3"] },
    status: 200,
    may: members,
  }),
  some("a member's going", "DELETE /v1/members/n3", {
    route: "/v1/members/{id}",
    status: 200,
    may: members,
  }),
  some("backup", "GET /v1/backup", { status: 200, may: ["backup", "every verb"] }),
  some("restore", "POST /v1/restore", { body: "no backup", status: 412, may: [] }),
  some("metrics", "GET /metrics", { status: 200, may: ["metrics", "every verb"] }),
  some("live", "GET /livez", { status: 200, may: "everybody" }),
  some("ready", "GET /readyz", { status: 200, may: "everybody" }),
  some("openapi", "GET /openapi.json", { status: 200, may: "everybody" }),
];

const access: readonly Case[] = [
  some("self", "GET /v1/access/self", { status: 200, may: "whoever has a token" }),
  some("tokens", "GET /v1/access/tokens", { status: 200, may: [] }),
  some("a token's making", "POST /v1/access/tokens", {
    body: { name: "new", roles: ["root"] },
    status: 201,
    may: [],
  }),
  some("a token's end", `DELETE /v1/access/tokens/${idOf("member")}`, {
    route: "/v1/access/tokens/{id}",
    status: 200,
    may: [],
  }),
  some("roles", "GET /v1/access/roles", { status: 200, may: [] }),
  some("a role's making", "PUT /v1/access/roles/new", {
    route: "/v1/access/roles/{name}",
    body: { grants: [{ verbs: ["read"] }] },
    status: 200,
    may: [],
  }),
  some("a role's end", "DELETE /v1/access/roles/none", {
    route: "/v1/access/roles/{name}",
    status: 404,
    may: [],
  }),
];

const cases = [...keys, ...streams, ...nested, ...checks, ...leases, ...cluster, ...access];

function isLetIn({ may }: Case, kind: Kind): boolean {
  if (may === "everybody") return true;
  if (strangers.some((stranger) => stranger === kind)) return false;
  return kind === "root" || may === "whoever has a token" || may.some((one) => one === kind);
}

async function ask(scene: AccessScene, kind: Kind, one: Case): Promise<Response> {
  const { method, target, body, headers } = one;
  return await scene.send(kind, method, target, body, headers);
}

describe("every route with every kind of token", () => {
  for (const one of cases) {
    it(`${one.name}: ${one.method} ${one.target}`, async () => {
      // Whoever is refused leaves all as it was: they may share a scene.
      const shared = AccessScene.whole();
      const before = bytesOf(shared.replica.machine.snapshot());
      for (const kind of kinds) {
        if (isLetIn(one, kind)) {
          const response = await ask(AccessScene.whole(), kind, one);
          assert.equal(response.status, one.status, `${kind} may`);
          await response.body?.cancel();
          continue;
        }
        const response = await ask(shared, kind, one);
        const [status, code] = strangers.some((stranger) => stranger === kind)
          ? [401, "unauthenticated"] as const
          : [403, "forbidden"] as const;
        assert.equal(response.status, status, `${kind} may not`);
        assert.equal(response.headers.has("www-authenticate"), status === 401);
        const isRead = one.method === "GET" || one.method === "HEAD";
        if (one.method !== "HEAD") {
          await assertProblem(response, status, code, isRead ? undefined : "not_applied");
        }
      }
      assert.equal(bytesOf(shared.replica.machine.snapshot()), before, "nothing was changed");
      assert.deepEqual(shared.replica.log, [], "nothing was proposed");
    });
  }

  it("is told of above for all that is served, and all that is served is in the table", async () => {
    const { fixture } = AccessScene.whole();
    const told = new Set(cases.map(({ route, method }) => `${method} ${route}`));
    const served = new Set<string>();
    for (const route of new Set(fixture.app.routes.map(({ path }) => path))) {
      const refused = await fixture.send("PATCH", route, { headers: bearer("root") });
      assert.equal(refused.status, 405, route);
      const path = route.replaceAll(/~(\w+)~/g, "{$1}");
      for (const method of (refused.headers.get("allow") ?? "").split(", ")) {
        if (method === "HEAD") continue;
        served.add(`${method} ${path}`);
        assert.ok(told.has(`${method} ${path}`), `${method} ${path} has no case`);
      }
    }
    const declared = Object.entries(rights).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`)
    );
    assert.deepEqual([...served].toSorted(), declared.toSorted());
  });
});
