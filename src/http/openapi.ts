/** `GET /openapi.json`: this interface, as OpenAPI 3.1 has it. The table of what there is is `openapi-routes.ts`. */
import type { GenericSchema } from "valibot";
import type { Exchange } from "./exchange.ts";
import { type JsonSchema, jsonSchemaOf } from "./json-schema.ts";
import { securityOf, securitySchemes } from "./openapi-access.ts";
import type { Body, Documented, Parameter } from "./openapi-parts.ts";
import { documentedRoutes } from "./openapi-routes.ts";
import * as wire from "./wire.ts";

/** Schemas that are told of once, by these names. */
const named: Readonly<Record<string, GenericSchema>> = {
  Problem: wire.Problem,
  PutAnswer: wire.PutAnswer,
  DeleteAnswer: wire.DeleteAnswer,
  Item: wire.ItemAnswer,
  ListAnswer: wire.ListAnswer,
  Check: wire.CheckRequest,
  Operation: wire.OperationRequest,
  BatchOperation: wire.BatchOperationRequest,
  TransactionRequest: wire.TransactionRequest,
  TransactionAnswer: wire.TransactionAnswer,
  OperationAnswer: wire.OperationAnswer,
  BatchRequest: wire.BatchRequest,
  BatchAnswer: wire.BatchAnswer,
  GrantRequest: wire.GrantRequest,
  LeaseAnswer: wire.LeaseAnswer,
  LeaseDetailAnswer: wire.LeaseDetailAnswer,
  LeaseListAnswer: wire.LeaseListAnswer,
  WatchPut: wire.WatchPut,
  WatchDelete: wire.WatchDelete,
  WatchProgress: wire.WatchProgress,
  WatchOverflow: wire.WatchOverflow,
  WatchRefused: wire.WatchRefused,
  RoleRequest: wire.RoleRequest,
  RoleAnswer: wire.RoleAnswer,
  RoleListAnswer: wire.RoleListAnswer,
  TokenRequest: wire.TokenRequest,
  NewTokenAnswer: wire.NewTokenAnswer,
  TokenListAnswer: wire.TokenListAnswer,
  AccessGoneAnswer: wire.AccessGoneAnswer,
  SelfAnswer: wire.SelfAnswer,
  StatusAnswer: wire.StatusAnswer,
  LeaderRequest: wire.LeaderRequest,
  LeaderAnswer: wire.LeaderAnswer,
  MembersAnswer: wire.MembersAnswer,
  AddMemberRequest: wire.AddMemberRequest,
  AddMemberAnswer: wire.AddMemberAnswer,
  SetMembersRequest: wire.SetMembersRequest,
  RemoveMemberAnswer: wire.RemoveMemberAnswer,
};
const names: ReadonlyMap<unknown, string> = new Map(
  Object.entries(named).map(([name, schema]) => [schema, name]),
);

/** `GET /openapi.json`. */
export function getOpenApi(exchange: Exchange): Response {
  return exchange.document(200, openApi(exchange.host.version));
}

/** The whole document. @param version this software's. */
export function openApi(version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of documentedRoutes) {
    const methods = paths[route.path] ??= {};
    methods[route.method] = operation(route);
  }
  const schemas = Object.entries(named).map((
    [name, schema],
  ) => [name, jsonSchemaOf(schema, refer)]);
  return {
    openapi: "3.1.0",
    info: {
      title: "Holdfast",
      version,
      description: "A linearizable, replicated key-value store. Any node takes any request. " +
        "Every document is JSON, or CBOR with byte strings where Accept or Content-Type says so.",
    },
    paths,
    components: { schemas: Object.fromEntries(schemas), securitySchemes },
  };
}

function operation(route: Documented): object {
  const { summary, parameters = [], body, answers } = route;
  const { errors, ...security } = securityOf(route);
  return {
    summary,
    ...security,
    ...(parameters.length === 0 ? {} : { parameters: parameters.map(parameterShown) }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: body.type !== "value", content: content(body) } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, { description, body: shown }]) => [
          status,
          { description, ...(shown === undefined ? {} : { content: content(shown) }) },
        ]),
      ),
      ...problems([...route.errors, ...errors]),
    },
  };
}

function parameterShown({ name, where, description, schema }: Parameter): object {
  return {
    name,
    in: where,
    description,
    ...(where === "path" ? { required: true } : {}),
    schema,
  };
}

function content(body: Body): object {
  switch (body.type) {
    case "value":
      return { "*/*": { schema: {} } };
    case "text":
      return { [body.mediaType]: { schema: { type: "string" } } };
    case "document": {
      const schema = schemaShown(body.schema);
      return { [wire.jsonType]: { schema }, [wire.cborType]: { schema } };
    }
    case "events":
      return { "text/event-stream": { schema: { anyOf: body.data.map(schemaShown) } } };
  }
}

function schemaShown(schema: GenericSchema | null): JsonSchema {
  if (schema === null) return { type: "object" };
  return refer(schema) ?? jsonSchemaOf(schema, refer);
}

function refer(schema: unknown): JsonSchema | null {
  const name = names.get(schema);
  return name === undefined ? null : { $ref: `#/components/schemas/${name}` };
}

function problems(statuses: readonly number[]): Record<string, object> {
  const codes = Object.entries(wire.problemCodes);
  return Object.fromEntries(statuses.map((status) => {
    const found = codes.filter(([, of]) => of === status).map(([code]) => code);
    const schema = schemaShown(wire.Problem);
    return [status, {
      description: found.join(", "),
      content: { [wire.problemType]: { schema }, [wire.cborType]: { schema } },
    }];
  }));
}
