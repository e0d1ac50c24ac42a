/** `GET /openapi.json`: all that is served, told by the schemas that check it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as v from "valibot";
import { jsonSchemaOf } from "../../src/http/json-schema.ts";
import { documentedRoutes } from "../../src/http/openapi-routes.ts";
import * as wire from "../../src/http/wire.ts";
import { fixture, json } from "./fixture.ts";

type Members = Readonly<Record<string, unknown>>;

function members(value: unknown): Members {
  assert.ok(typeof value === "object" && value !== null, JSON.stringify(value));
  return Object.fromEntries(Object.entries(value));
}

async function document(): Promise<Members> {
  const response = await fixture().send("GET", "/openapi.json");
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/json");
  return await json(response);
}

/** A route as it is told, of what the app calls it. */
const told = (route: string): string => route.replaceAll(/~(\w+)~/g, "{$1}");

describe("/openapi.json", () => {
  it("tells of every path and method that is served", async () => {
    const { app, send } = fixture();
    const { paths } = await document();
    for (const path of new Set(app.routes.map((route) => route.path))) {
      const refused = await send("PATCH", path);
      assert.equal(refused.status, 405, path);
      const allowed = (refused.headers.get("allow") ?? "").toLowerCase().split(", ")
        .filter((method) => method !== "head");
      const methods = Object.keys(members(members(paths)[told(path)]));
      assert.deepEqual(methods.toSorted(), allowed.toSorted(), path);
    }
  });

  it("tells of nothing else", () => {
    const { app } = fixture();
    const paths = new Set(app.routes.map(({ path }) => told(path)));
    for (const { path } of documentedRoutes) assert.ok(paths.has(path), path);
  });

  it("tells of each query parameter that a route reads, and of no other", async () => {
    const { send } = fixture();
    const namesOf = ({ parameters = [] }: typeof documentedRoutes[number]) =>
      parameters.filter(({ where }) => where === "query").map(({ name }) => name);
    const all = new Set(documentedRoutes.flatMap(namesOf));
    for (const route of documentedRoutes) {
      const told = namesOf(route);
      for (const name of all) {
        // A parameter that comes twice is refused where it is read, and passed over where it is not.
        const path = route.path.replace(/\{\w+\}/, "1");
        const twice = await send(route.method.toUpperCase(), `${path}?${name}=&${name}=`);
        if (twice.ok) await twice.body?.cancel();
        const refusal = twice.ok ? "" : await twice.text();
        const isRead = refusal.includes(`query: ${name} comes twice`);
        assert.equal(isRead, told.includes(name), `${route.method} ${route.path} ${name}`);
      }
    }
  });

  it("is OpenAPI 3.1 in structure, and refers to nothing that is not there", async () => {
    const { openapi, info, paths, components } = await document();
    assert.match(String(openapi), /^3\.1\.\d+$/);
    const { title, version } = members(info);
    assert.equal(title, "Holdfast");
    assert.equal(version, "0.1.0");
    const { schemas } = members(components);
    for (const [path, methods] of Object.entries(members(paths))) {
      assert.match(path, /^\//);
      for (const [method, operation] of Object.entries(members(methods))) {
        checkOperation(`${method} ${path}`, members(operation));
      }
    }
    const refs = [...JSON.stringify([paths, schemas]).matchAll(/"\$ref":"([^"]+)"/g)];
    assert.ok(refs.length > 50);
    for (const [, ref = ""] of refs) {
      const [, name = ""] = /^#\/components\/schemas\/(\w+)$/.exec(ref) ?? [];
      assert.ok(name in members(schemas), ref);
    }
  });

  it("has each schema from what checks the requests", async () => {
    const { components } = await document();
    const schemas = members(members(components)["schemas"]);
    const check = jsonSchemaOf(wire.CheckRequest);
    assert.deepEqual(schemas["Check"], check);
    const request = members(schemas["TransactionRequest"]);
    assert.equal(request["additionalProperties"], false);
    assert.deepEqual(request["properties"], {
      if: { type: "array", items: { $ref: "#/components/schemas/Check" }, maxItems: 128 },
      then: { type: "array", items: { $ref: "#/components/schemas/Operation" }, maxItems: 128 },
      else: { type: "array", items: { $ref: "#/components/schemas/Operation" }, maxItems: 128 },
    });
    assert.deepEqual(schemas["GrantRequest"], {
      type: "object",
      properties: { ttl: { type: "string", pattern: "^\\d{1,9}(ms|[smhd])$" } },
      required: ["ttl"],
      additionalProperties: false,
    });
  });

  it("names the bodies and parameters that routes take", async () => {
    const { paths } = await document();
    const operation = (path: string, method: string) =>
      members(members(members(paths)[path])[method]);
    const named = (path: string, method: string) =>
      (operation(path, method)["parameters"] as Members[]).map(({ name }) => name);
    assert.deepEqual(named("/v1/kv/{key}", "get"), [
      "key",
      "consistency",
      "max_stale",
      "revision",
      "If-None-Match",
    ]);
    for (const [path, method] of [["/v1/kv/{key}", "put"], ["/v1/txn", "post"]] as const) {
      assert.ok(named(path, method).includes("Idempotency-Key"), path);
    }
    const { content } = members(operation("/v1/txn", "post")["requestBody"]);
    const schema = { $ref: "#/components/schemas/TransactionRequest" };
    assert.deepEqual(content, {
      "application/json": { schema },
      "application/cbor": { schema },
    });
  });
});

function checkOperation(name: string, operation: Members): void {
  assert.equal(typeof operation["summary"], "string", name);
  const path = name.split(" ")[1] ?? "";
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
  const parameters = (operation["parameters"] ?? []) as Members[];
  const places = parameters.map((parameter) =>
    `${String(parameter["in"])} ${String(parameter["name"])}`
  );
  assert.equal(new Set(places).size, places.length, `${name}: parameters are unique`);
  for (const parameter of parameters) {
    assert.ok(["path", "query", "header"].includes(String(parameter["in"])), name);
    assert.equal(parameter["required"] === true, parameter["in"] === "path", name);
    members(parameter["schema"]);
  }
  assert.deepEqual(
    parameters.filter((one) => one["in"] === "path").map((one) => one["name"]),
    inPath,
    name,
  );
  const responses = Object.entries(members(operation["responses"]));
  assert.ok(responses.some(([status]) => status.startsWith("2")), name);
  for (const [status, response] of responses) {
    assert.match(status, /^[2-5]\d\d$/, name);
    const { description, content = {} } = members(response);
    assert.ok(typeof description === "string" && description !== "", `${name}: ${status}`);
    for (const media of Object.values(members(content))) members(members(media)["schema"]);
  }
}

describe("a JSON Schema", () => {
  const same: readonly (readonly [v.GenericSchema, object])[] = [
    [v.string(), { type: "string" }],
    [v.nullable(v.boolean()), { anyOf: [{ type: "boolean" }, { type: "null" }] }],
    [v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(9)), {
      type: "integer",
      minimum: 1,
      maximum: 9,
    }],
    [v.pipe(v.string(), v.regex(/^a$/), v.maxLength(3)), {
      type: "string",
      pattern: "^a$",
      maxLength: 3,
    }],
    [v.picklist(["=", "<"]), { enum: ["=", "<"] }],
    [v.union([v.string(), v.instance(Uint8Array)]), { type: "string" }],
    [wire.named<object>({ a: v.object({ a: v.literal(1) }), b: v.object({ b: v.literal(2) }) }), {
      anyOf: [
        { type: "object", properties: { a: { const: 1 } }, required: ["a"] },
        { type: "object", properties: { b: { const: 2 } }, required: ["b"] },
      ],
    }],
    [wire.upTo(3, v.string()), { type: "array", items: { type: "string" }, maxItems: 3 }],
    [v.strictObject({ a: v.optional(v.string()) }), {
      type: "object",
      properties: { a: { type: "string" } },
      additionalProperties: false,
    }],
  ];
  for (const [schema, told] of same) {
    it(`is ${JSON.stringify(told)}`, () => assert.deepEqual(jsonSchemaOf(schema), told));
  }

  it("is refused for what it can't tell of, so that nothing is left out silently", () => {
    assert.throws(() => jsonSchemaOf(v.date()), /no JSON Schema is known for date/);
    assert.throws(() => jsonSchemaOf(v.pipe(v.string(), v.email())), /known for email/);
  });
});
