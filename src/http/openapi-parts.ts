/** What the table of routes (`openapi-routes.ts`) is put together of. */
import type { GenericSchema } from "valibot";
import { type JsonSchema, jsonSchemaOf } from "./json-schema.ts";
import { pageItemsDefault, pageItemsMax } from "./limits.ts";
import * as wire from "./wire.ts";

export interface Documented {
  readonly path: string;
  readonly method: "get" | "put" | "post" | "delete";
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly body?: Body;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Statuses that come as problems. */
  readonly errors: readonly number[];
}

export interface Answer {
  readonly description: string;
  readonly body?: Body;
}

export interface Parameter {
  readonly name: string;
  readonly where: "path" | "query" | "header";
  readonly description: string;
  readonly schema: JsonSchema;
}

export type Body =
  | { readonly type: "value" }
  | { readonly type: "text"; readonly mediaType: string }
  /** Null where its members are not told. */
  | { readonly type: "document"; readonly schema: GenericSchema | null }
  | { readonly type: "events"; readonly data: readonly GenericSchema[] };

const text: JsonSchema = { type: "string" };
export const flag: JsonSchema = { type: "boolean" };
export const whole: JsonSchema = { type: "integer", minimum: 0 };
export const durationText: JsonSchema = jsonSchemaOf(wire.duration);

export function query(name: string, description: string, schema: JsonSchema = text): Parameter {
  return { name, where: "query", description, schema };
}
export function header(name: string, description: string): Parameter {
  return { name, where: "header", description, schema: text };
}
export function path(name: string, description: string): Parameter {
  return { name, where: "path", description, schema: text };
}
export function document(schema: GenericSchema | null): Body {
  return { type: "document", schema };
}
export function answer(description: string, schema: GenericSchema | null): Answer {
  return { description, body: document(schema) };
}

export const key: Parameter = path(
  "key",
  "All that follows, percent-decoded; slashes may stand as they are.",
);
export const lease: Parameter = path("id", "The lease's id.");
export const member: Parameter = path("id", "The member's id.");
export const range: readonly Parameter[] = [
  query("prefix", "Keys that begin with it; not with start or end."),
  query("start", "The first key."),
  query("end", "The first key behind the range."),
];
export const confirmation: readonly Parameter[] = [
  query("consistency", "What the read promises; linearizable where it is not said.", {
    enum: ["linearizable", "lease", "stale"],
  }),
  query("max_stale", "With consistency=stale: 503 rather than older.", durationText),
];
export const reading: readonly Parameter[] = [
  ...confirmation,
  query("revision", "The past, as it was at this revision.", whole),
];
export const paging: readonly Parameter[] = [
  query("limit", `Items at most; ${pageItemsDefault} where it is not said.`, {
    type: "integer",
    minimum: 1,
    maximum: pageItemsMax,
  }),
  query("cursor", "Where a listing goes on: what its last page gave."),
];
export const conditions: readonly Parameter[] = [
  header("If-Match", "Entity tags, one of which the key has to be at; * where it has to exist."),
  header(
    "If-None-Match",
    "Entity tags, none of which the key may be at; * where it must not exist.",
  ),
];
export const once: readonly Parameter[] = [
  header("Idempotency-Key", "The same key again gets the first answer, and changes nothing."),
  header("Holdfast-Sequence", "The key is a client's, and this its request's number: 7;done=5."),
];

export const readErrors: readonly number[] = [400, 413, 429, 500, 503];
export const writeErrors: readonly number[] = [400, 413, 422, 429, 500, 503, 504];
export const bodyErrors: readonly number[] = [400, 408, 413, 422, 429, 500, 503, 504];
export const deleted: Answer = answer(
  "How many keys were deleted, by one revision.",
  wire.DeleteAnswer,
);
export const members: Answer = answer("Who takes part.", wire.MembersAnswer);
