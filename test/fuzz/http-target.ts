/** Requests of clients, as text: method and target, headers, an empty line, the body. */
import assert from "node:assert/strict";
import { type Fixture, fixture } from "../http/fixture.ts";
import { type Target, withoutDetails } from "./target.ts";

/** A store is made anew after so many requests. */
const requestsPerStore = 500;

const samples = [
  "PUT /v1/kv/a?ttl=30s&lease=1\ncontent-type: text/plain\nholdfast-metadata: AQ==\n\nvalue",
  'PUT /v1/kv/a%2Fb\nif-match: "1"\nidempotency-key: k\nholdfast-sequence: 1;done=0\n\nvalue',
  "GET /v1/kv/a?consistency=stale&max_stale=1s&revision=1\naccept: application/cbor\n\n",
  "DELETE /v1/kv?prefix=a/\n\n",
  "GET /v1/kv?start=a&end=b&limit=5&reverse=true&values=false&cursor=AQ\n\n",
  'POST /v1/txn\n\n{"if":[{"key":"a","version":1,"op":">"},{"key":"b","exists":true}],"then":[{"put":{"key":"a","value":"1","ttl":"1s"}},{"add":{"key":"n","delta":1,"min":"0","max":9}}],"else":[{"list":{"prefix":"a","limit":2}},{"delete":{"start":"a","end":"b"}}]}',
  'POST /v1/batch\n\n{"ops":[{"put":{"key":"a","value":"AQ==","encoding":"base64"},"if":[{"key":"a","revision":0}]},{"get":{"key":"a"}}]}',
  'POST /v1/leases\n\n{"ttl":"30s"}',
  "POST /v1/leases/1/keepalive\n\n",
  "DELETE /v1/leases/1\n\n",
  "GET /v1/watch?key=a&from=1&previous=true\nlast-event-id: 1\n\n",
  'POST /v1/members\n\n{"id":"n2","url":"http://127.0.0.1:4002"}',
  'PUT /v1/members\n\n{"voters":["n1"],"learners":[]}',
  'PUT /v1/leader\n\n{"id":"n2"}',
  "GET /v1/log?from=1&limit=10\n\n",
  'POST /v1/access/tokens\nauthorization: Bearer hf_0123456789abcdef_x\n\n{"name":"ci","roles":["r"]}',
  'PUT /v1/access/roles/r\n\n{"grants":[{"verbs":["read"],"prefix":"a/"}]}',
  "GET /v1/status\n\n",
  "GET /metrics\n\n",
  "GET /v1/backup\n\n",
  "POST /v1/restore\n\nnot a backup",
];

const paths = [...new Set(samples.map((text) => /^\S+ (\/(?:v1\/)?[a-z]*)/.exec(text)?.[1] ?? ""))];

interface Parsed {
  readonly method: string;
  readonly target: string;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Null where no server would hand it on. */
function parse(bytes: Uint8Array): Parsed | null {
  const text = Buffer.from(bytes).toString("latin1");
  const end = text.indexOf("\n\n");
  const [line = "", ...fields] = text.slice(0, end < 0 ? text.length : end).split("\n");
  const [method = "", target = ""] = line.split(" ");
  if (!/^(GET|HEAD|PUT|POST|DELETE|OPTIONS|PATCH)$/.test(method) || !target.startsWith("/")) {
    return null;
  }
  const headers = new Headers();
  for (const field of fields) {
    const colon = field.indexOf(":");
    try {
      headers.append(field.slice(0, Math.max(colon, 0)), field.slice(colon + 1).trim());
    } catch {
      return null;
    }
  }
  return {
    method,
    target,
    headers,
    body: Uint8Array.from(bytes.subarray(end < 0 ? bytes.length : end + 2)),
  };
}

class Server {
  #fixture: Fixture | null = null;
  #requests = 0;

  async answer(bytes: Uint8Array): Promise<string> {
    const parsed = parse(bytes);
    if (parsed === null) return "no request";
    if (this.#requests++ % requestsPerStore === 0) this.#fixture = null;
    const own = this.#fixture ??= fixture({ limits: { bodyTimeoutMs: 1000, drainTimeoutMs: 1 } });
    return await judge(own, parsed);
  }
}

/** An answer that a client may get; a refused write changed nothing, and nothing was logged as a defect. */
async function judge(own: Fixture, { method, target, headers, body }: Parsed): Promise<string> {
  const { store } = own.replica.machine;
  const before = [store.revision, store.size];
  const hasBody = method !== "GET" && method !== "HEAD";
  const response = await own.send(method, target, hasBody ? { headers, body } : { headers });
  const { status } = response;
  assert.ok(status < 500 || status === 503, String(status));
  assert.equal(response.headers.get("holdfast-node"), "n1");
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("text/event-stream")) {
    await response.body?.cancel();
    return `${method} ${status} watching`;
  }
  const answer = new Uint8Array(await response.arrayBuffer());
  assert.deepEqual([own.logged, own.defects], [[], []]);
  const path = paths.find((known) => target.startsWith(known)) ?? "elsewhere";
  if (status < 400) return `${method} ${path} ${status}`;
  assert.deepEqual([store.revision, store.size], before);
  if (!type.startsWith("application/problem+json") || method === "HEAD") {
    return `${method} ${status}`;
  }
  const { code, detail, outcome } = JSON.parse(new TextDecoder().decode(answer));
  const isWrite = !["GET", "HEAD", "OPTIONS"].includes(method);
  assert.equal(outcome, isWrite ? "not_applied" : undefined, `${method} ${status} ${detail}`);
  return `${path} ${status} ${code} ${beginningOf(String(detail))}`;
}

/** What is said before anything is quoted, but for names that anybody may make up. */
function beginningOf(detail: string): string {
  return withoutDetails(detail).split(/[^A-Za-z# ]/)[0]?.split(" ").slice(0, 4).join(" ") ?? "";
}

const server = new Server();

export const http: Target = {
  name: "http",
  words: [
    ...[
      "/",
      "..",
      "%2e",
      "%00",
      "%FF",
      "%",
      "?",
      "&",
      "=",
      "#",
      "prefix=",
      "key=",
      "from=",
      "limit=",
    ],
    ...[
      "cursor=",
      "revision=",
      "ttl=",
      "lease=",
      "consistency=",
      "max_stale=",
      "\n",
      "\n\n",
      '"1"',
      "*",
    ],
    ...["content-length: 5\n", "content-type: application/cbor\n", "accept: application/cbor\n"],
    ...["idempotency-key: ", "authorization: Bearer ", "if-match: ", "if-none-match: ", "expect: "],
    ...['{"key":"a"}', '{"put":', '{"add":', '{"list":', '"encoding":"base64"', "9007199254740993"],
    ...["[[[[[[[[", '"__proto__":', "1e999", "\\ud800", "null", "-1", "true"],
  ],
  samples: () => samples.map((text) => new Uint8Array(Buffer.from(text, "latin1"))),
  run: (bytes) => server.answer(bytes),
};
