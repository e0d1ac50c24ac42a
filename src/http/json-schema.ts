/**
 * JSON Schema (2020-12) out of valibot's: of as much of valibot as the wire's shapes use, and of nothing else. It reads
 * the very objects that check requests, so what is published cannot drift from what is checked.
 *
 * A byte string, which only CBOR can carry, is not told of: in JSON it is a string.
 */
import { InvariantViolation } from "../assert.ts";
import { choicesOf } from "./wire.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

/** A part of a schema, by the names that valibot gives its members. */
type Part = Readonly<Record<string, unknown>>;

/** @param refer what stands for a schema that is told of elsewhere, or null for any other. */
export function jsonSchemaOf(
  schema: unknown,
  refer: (schema: unknown) => JsonSchema | null = () => null,
): JsonSchema {
  const inner = (part: unknown): JsonSchema => refer(part) ?? jsonSchemaOf(part, refer);
  const part = partOf(schema);
  if (!Array.isArray(part["pipe"])) return plain(part, inner);
  const [base, ...actions] = part["pipe"].map(partOf);
  let told: JsonSchema | null = null;
  for (const { type, metadata } of actions) {
    if (type !== "metadata") continue;
    const choices = listOf(partOf(metadata)[choicesOf]).map(inner);
    told = choices.length === 1 ? choices[0] ?? null : { anyOf: choices };
  }
  told ??= plain(base ?? {}, inner);
  for (const action of actions) told = { ...told, ...constraint(action, told["type"]) };
  return told;
}

function plain(part: Part, inner: (part: unknown) => JsonSchema): JsonSchema {
  switch (part["type"]) {
    case "string":
    case "number":
    case "boolean":
      return { type: part["type"] };
    case "literal":
      return { const: part["literal"] };
    case "picklist":
      return { enum: listOf(part["options"]) };
    case "nullable":
      return { anyOf: [inner(part["wrapped"]), { type: "null" }] };
    case "optional":
      return inner(part["wrapped"]);
    case "array":
      return { type: "array", items: inner(part["item"]) };
    case "union": {
      const options = listOf(part["options"]).filter((one) => partOf(one)["type"] !== "instance");
      const [only] = options;
      return options.length === 1 ? inner(only) : { anyOf: options.map(inner) };
    }
    case "intersect":
      return { allOf: listOf(part["options"]).map(inner) };
    case "object":
    case "strict_object":
      return object(part, inner);
    default:
      throw new InvariantViolation(`no JSON Schema is known for ${String(part["type"])}`);
  }
}

function object(part: Part, inner: (part: unknown) => JsonSchema): JsonSchema {
  const entries = Object.entries(partOf(part["entries"]));
  const required = entries.filter(([, entry]) => partOf(entry)["type"] !== "optional");
  return {
    type: "object",
    properties: Object.fromEntries(entries.map(([name, entry]) => [name, inner(entry)])),
    ...(required.length === 0 ? {} : { required: required.map(([name]) => name) }),
    ...(part["type"] === "strict_object" ? { additionalProperties: false } : {}),
  };
}

function constraint({ type, requirement }: Part, base: unknown): JsonSchema {
  switch (type) {
    case "regex":
      return requirement instanceof RegExp ? { pattern: requirement.source } : {};
    case "safe_integer":
    case "integer":
      return { type: "integer" };
    case "min_value":
      return { minimum: requirement };
    case "max_value":
      return { maximum: requirement };
    case "min_length":
      return base === "array" ? { minItems: requirement } : { minLength: requirement };
    case "max_length":
      return base === "array" ? { maxItems: requirement } : { maxLength: requirement };
    case "metadata":
    // What a schema can't say: a member's URL is one of them.
    case "raw_transform":
      return {};
    default:
      throw new InvariantViolation(`no JSON Schema is known for ${String(type)}`);
  }
}

function partOf(value: unknown): Part {
  if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value));
  throw new InvariantViolation("a schema is an object");
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new InvariantViolation("a schema's choices are a list");
}
