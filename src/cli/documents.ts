/** Documents that go to the cluster, and come from it, as they are. */
import type * as v from "valibot";
import { decode, jsonBody } from "../client/answer.ts";
import { Session } from "../client/session.ts";
import { fetchWith } from "../client/token.ts";
import { readAccess } from "./access.ts";
import type { Arguments } from "./arguments.ts";
import { ATTEMPT_TIMEOUT_MS, readEndpoints, readTimeout, retriesTold } from "./command.ts";

/** Posts a document. A `keyedWrite` takes effect once, however often it has to be sent. @throws {ClientError} */
export async function post<T>(args: Arguments, request: {
  readonly target: string;
  readonly document: object;
  readonly kind: "read" | "keyedWrite";
  readonly shape: v.GenericSchema<unknown, T>;
}): Promise<T> {
  const { target, document, kind, shape } = request;
  const call = { method: "POST", target, kind, ...jsonBody(document) } as const;
  const answer = await sessionFrom(args).send(call);
  return decode(shape, answer, kind === "read" ? "read" : "write");
}

/** Asks for one document. A `write` is sent once: another attempt would do another thing. @throws {ClientError} */
export async function ask<T>(args: Arguments, request: {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  readonly target: string;
  readonly document?: object;
  readonly kind: "read" | "keyedWrite" | "write";
  readonly shape: v.GenericSchema<unknown, T>;
}): Promise<T> {
  const { method, target, document, kind, shape } = request;
  const body = document === undefined ? {} : jsonBody(document);
  const answer = await sessionFrom(args).send({ method, target, kind, ...body });
  return decode(shape, answer, kind === "read" ? "read" : "write");
}

/** All pages of what is listed at `target`. @throws {ClientError} */
export async function* pages<T extends { readonly cursor?: string | undefined }>(
  args: Arguments,
  { target, shape }: { readonly target: string; readonly shape: v.GenericSchema<unknown, T> },
): AsyncGenerator<T> {
  const session = sessionFrom(args);
  let cursor: string | undefined;
  do {
    const rest = cursor === undefined ? "" : `?cursor=${encodeURIComponent(cursor)}`;
    const answer = await session.send({ method: "GET", target: `${target}${rest}`, kind: "read" });
    const page = decode(shape, answer, "read");
    yield page;
    cursor = page.cursor;
  } while (cursor !== undefined);
}

function sessionFrom(args: Arguments): Session {
  return new Session({
    endpoints: readEndpoints(args),
    fetch: fetchWith(readAccess(args)),
    timeoutMs: readTimeout(args, 15_000),
    attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
    signal: new AbortController().signal,
    onRetry: retriesTold(args),
  });
}
