/** A `fetch` that answers from a script and keeps what it was asked. */
import assert from "node:assert/strict";
import { ClientError, type ClientFetch } from "../../src/client/mod.ts";

/** What was asked. */
export interface Asked {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: string;
}

/** One answer of the script: a response, or an error to throw. */
export type Step = (asked: Asked) => Response | Error;

/**
 * Answers the first request by the first step, and so on; the last one answers all that follow. Who asks for a node's
 * status finds nobody, and is not counted: a client does it by itself.
 */
export function scripted(...steps: Step[]): { fetch: ClientFetch; asked: Asked[] } {
  const asked: Asked[] = [];
  const fetch: ClientFetch = async (url, init) => {
    const request: Asked = {
      url,
      method: init.method ?? "GET",
      headers: new Headers(init.headers),
      body: init.body instanceof Uint8Array ? new TextDecoder().decode(init.body) : "",
    };
    if (url.endsWith("/v1/status")) throw new Error("nobody");
    const step = steps[Math.min(asked.length, steps.length - 1)];
    asked.push(request);
    await Promise.resolve();
    const result = step?.(request) ?? new Error("the script is empty");
    if (result instanceof Error) throw result;
    return result;
  };
  return { fetch, asked };
}

const node = { "holdfast-node": "n1", "holdfast-revision": "1", "holdfast-term": "1" };

/** A node's answer with a JSON document. */
export function answer(
  status: number,
  document: object,
  headers: Readonly<Record<string, string>> = {},
): Step {
  return () => new Response(JSON.stringify(document), { status, headers: { ...node, ...headers } });
}

/** A key's value. */
export function value(text: string, revision: number, type = "text/plain"): Step {
  const headers = { ...node, "content-type": type, etag: `"${revision}"` };
  return () => new Response(text, { status: 200, headers });
}

/** A problem, as a node answers it. */
export function problem(
  status: number,
  code: string,
  more: { readonly outcome?: string; readonly etag?: string; readonly oldest?: number } = {},
): Step {
  const { etag, ...members } = more;
  const document = { type: "about:blank", title: code, status, detail: `it is ${code}`, code };
  return answer(status, { ...document, ...members }, etag === undefined ? {} : { etag });
}

/** No connection came about. */
export const refused: Step = () =>
  Object.assign(new TypeError("fetch failed"), {
    cause: Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }),
  });

/** The connection broke after the request had been sent. */
export const reset: Step = () =>
  Object.assign(new TypeError("fetch failed"), {
    cause: Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }),
  });

/** What a call fails with. */
export async function failure(doing: Promise<unknown>): Promise<ClientError> {
  const error = await doing.then(() => null, (reason: unknown) => reason);
  assert.ok(error instanceof ClientError, `no ClientError: ${String(error)}`);
  return error;
}
