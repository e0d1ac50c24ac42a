/** A node that is watched, and what goes wrong with it. */
import {
  type Client,
  type ClientFetch,
  connect,
  type ConnectOptions,
} from "../../src/client/mod.ts";
import { problem } from "./fake-fetch.ts";

const encoder = new TextEncoder();

/** A change: its keys are put, or deleted where they begin with a minus. */
export interface Revision {
  readonly revision: number;
  readonly keys: readonly string[];
}

/** The events of a revision, as a node writes them. */
export function eventsOf({ revision, keys }: Revision): string {
  return keys.map((key, at) => {
    const more = at < keys.length - 1 ? { more: true } : {};
    const isDelete = key.startsWith("-");
    const item = { value: `v${revision}`, created: 1, version: 1, contentType: "text/plain" };
    const data = { key: key.replace("-", ""), revision, ...(isDelete ? {} : item), ...more };
    const type = isDelete ? "delete" : "put";
    return `id: ${revision}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
  }).join("");
}

/** A mark without a change. */
export function mark(
  type: "progress" | "overflow",
  revision: number,
  stalenessMs: number | null = 0,
): string {
  const data = type === "progress" ? { revision, stalenessMs } : { revision };
  return `id: ${revision}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** How an answer to a watch goes on after its bytes. */
export type End = "ends" | "breaks" | "goes silent";

export interface Part {
  readonly text: string;
  /** Bytes of the text that come; all of them where it isn't said. */
  readonly bytes?: number;
  readonly end: End;
}

/** A connection, by the endpoint and the revision that it goes on behind. */
export interface Asked {
  readonly endpoint: string;
  readonly target: string;
  readonly after: number;
}

/** Answers each connection as `script` says: with a part of a stream, or with another answer. */
export function watched(
  script: (asked: Asked, number: number) => Part | Response | Error,
  options: Partial<ConnectOptions> = {},
): { readonly client: Client; readonly asked: Asked[] } {
  const asked: Asked[] = [];
  const node = { "holdfast-node": "n1", "holdfast-revision": "1", "holdfast-term": "1" };
  const fetch: ClientFetch = async (url, init) => {
    await Promise.resolve();
    const target = url.slice(url.indexOf("/", 8));
    if (target === "/v1/status") throw new Error("nobody");
    if (target.startsWith("/v1/kv?")) {
      return new Response(JSON.stringify({ revision: 7, items: [] }), { headers: node });
    }
    const after = Number(new Headers(init.headers).get("last-event-id"));
    const one = { endpoint: url.slice(0, url.indexOf("/", 8)), target, after };
    asked.push(one);
    const answer = script(one, asked.length);
    if (answer instanceof Error) throw answer;
    if (answer instanceof Response) return answer;
    return new Response(body(answer, init.signal ?? null), {
      headers: { ...node, "content-type": "text/event-stream" },
    });
  };
  const endpoints = ["http://a", "http://b"];
  return { client: connect({ endpoints, fetch, ...options }), asked };
}

function body({ text, bytes, end }: Part, signal: AbortSignal | null): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => {
      const all = encoder.encode(text);
      if (bytes !== 0 && all.length > 0) controller.enqueue(all.subarray(0, bytes ?? all.length));
      if (end === "ends") controller.close();
      signal?.addEventListener("abort", () => controller.error(signal.reason));
    },
    // What was enqueued is read before this.
    pull: (controller) => {
      if (end === "breaks") controller.error(new TypeError("the connection broke"));
    },
  });
}

/** 410. */
export function compacted(oldest: number): Response {
  const made = problem(410, "compacted", { oldest })({
    url: "",
    method: "GET",
    headers: new Headers(),
    body: "",
  });
  if (made instanceof Error) throw made;
  return made;
}
