/** Puts and gets of text, one attempt each, with their outcome as a history wants it. */
import type { HttpAnswer, HttpClient } from "./http-client.ts";

export type KvOutcome =
  | { readonly type: "done"; readonly revision: number | null; readonly value: string | null }
  | { readonly type: "notApplied" }
  | { readonly type: "unknown" };

export interface KvRequest {
  readonly http: HttpClient;
  readonly url: string;
  readonly key: string;
  readonly timeoutMs?: number;
}

/** @throws what is neither success nor a fate that the contract names. */
export async function put(request: KvRequest, value: string): Promise<KvOutcome> {
  const { http, url, key, timeoutMs = 5000 } = request;
  let answer: HttpAnswer;
  try {
    answer = await http.request(`${url}/v1/kv/${key}`, { method: "PUT", body: value, timeoutMs });
  } catch (error) {
    return isRefused(error) ? { type: "notApplied" } : { type: "unknown" };
  }
  if (answer.status === 200 || answer.status === 201) {
    return { type: "done", revision: (answer.json() as { revision: number }).revision, value };
  }
  const { outcome } = answer.json() as { outcome?: unknown };
  if (outcome === "not_applied") return { type: "notApplied" };
  if (outcome === "unknown") return { type: "unknown" };
  throw new Error(`PUT ${key}: ${answer.status} without an outcome: ${answer.text()}`);
}

/** @throws what is neither an answer, nor 503 or 429, nor a broken connection. */
export async function get(request: KvRequest, query = ""): Promise<KvOutcome> {
  const { http, url, key, timeoutMs = 5000 } = request;
  let answer: HttpAnswer;
  try {
    answer = await http.request(`${url}/v1/kv/${key}${query}`, { timeoutMs });
  } catch {
    return { type: "notApplied" };
  }
  if (answer.status === 404) return { type: "done", revision: null, value: null };
  if (answer.status === 200) {
    const revision = Number(answer.headers.etag?.replaceAll('"', ""));
    return { type: "done", revision, value: answer.text() };
  }
  if ([429, 503].includes(answer.status)) return { type: "notApplied" };
  throw new Error(`GET ${key}: ${answer.status} ${answer.text()}`);
}

function isRefused(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ECONNREFUSED";
}
