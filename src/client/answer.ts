/** Answers, checked to be what they have to be; and requests' parts. */
import * as v from "valibot";
import { jsonType } from "../http/wire.ts";
import type { Answer, Request } from "./attempt.ts";
import { ClientError } from "./error.ts";

/** @throws {ClientError} an answer that no Holdfast node gives. */
export function bad(answer: Answer, kind: "read" | "write", what: string): never {
  const { status, endpoint } = answer;
  const outcome = kind === "read" ? null : "unknown";
  throw new ClientError(`${endpoint} gave ${what}`, { code: "bad_answer", status, outcome });
}

/** The document in an answer. @throws {ClientError} where it has another shape. */
export function decode<T>(
  shape: v.GenericSchema<unknown, T>,
  answer: Answer,
  kind: "read" | "write",
): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(answer.body));
  } catch {
    value = undefined;
  }
  const result = v.safeParse(shape, value);
  if (result.success) return result.output;
  return bad(answer, kind, `an answer that is not the ${jsonType} expected`);
}

/** A document, as a request's body. */
export function jsonBody(document: object): Required<Pick<Request, "headers" | "body">> {
  const body = new TextEncoder().encode(JSON.stringify(document));
  return { headers: { "content-type": jsonType }, body };
}

/** `parameters` hold values that are percent-encoded already. */
export function query(parameters: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(parameters).map(([name, value]) => `${name}=${value}`);
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}
