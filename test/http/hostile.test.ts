/** Whatever a client sends: methods, targets, headers and bodies for fast-check. The same run every time. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeCbor } from "../../src/cbor.ts";
import { keyFromBytes } from "../../src/kv/key.ts";
import { cborLike } from "../adapters/byte-arbitraries.ts";
import { type Fixture, fixture } from "./fixture.ts";

/** Pieces that a target is put together from, the nastier the better. */
const pieces = [
  "/",
  "//",
  "/v1/kv",
  "/v1/kv/",
  "/v1/log",
  "/v1/status",
  "/v1/leader",
  "/v1/txn",
  "/v1/batch",
  "/v1/leases",
  "/v1/leases/",
  "/keepalive",
  "..",
  ".",
  "%2e%2e",
  "%",
  "%0",
  "%zz",
  "%00",
  "%FF",
  "%F0%9F%98%80",
  "%ED%A0%80",
  "%25",
  "a",
  "__proto__",
  "?",
  "&",
  "=",
  "+",
  "#",
  "prefix=",
  "start=",
  "end=",
  "limit=",
  "limit=5",
  "cursor=",
  "AQAAAA",
  "reverse=true",
  "consistency=stale",
  "max_stale=1s",
  "revision=",
  "ttl=",
  "ttl=30s",
  "lease=",
  "from=",
  "1",
  "\\",
  ";",
  "é",
  " ",
  "\x00",
  "\x7f",
];

const methods = fc.constantFrom(
  ...["GET", "HEAD", "PUT", "PUT", "PUT", "DELETE", "DELETE", "POST", "OPTIONS"],
);
const targets = fc.tuple(
  fc.constantFrom("/", "/v1/kv/", "/v1/kv/", "/v1/kv/a?", "/v1/kv?", "/v1/leases/"),
  fc.array(fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...pieces) }, fc.string()), {
    maxLength: 5,
  }),
).map(([start, tail]) => start + tail.join(""));
const headerNames: fc.Arbitrary<string> = fc.constantFrom(
  "if-match",
  "if-match",
  "if-none-match",
  "accept",
  "content-type",
  "content-length",
  "idempotency-key",
  "holdfast-sequence",
  "holdfast-metadata",
);
const headerValues = fc.oneof(
  fc.constantFrom("*", '"1"', '"0"'),
  fc.constantFrom("*", '"1"', 'W/"2"', '"', '"1",', "", "a".repeat(300), '"1",'.repeat(17) + '"1"'),
  fc.constantFrom(
    "application/cbor",
    "application/cbor;q=x",
    "0",
    "5",
    "-1",
    "1e3",
    "9".repeat(20),
  ),
  fc.stringMatching(/^[\x20-\x7e\xa0-\xff]{0,40}$/),
);
const bodies: fc.Arbitrary<string | Uint8Array> = fc.oneof(
  fc.constant("12345"),
  fc.json(),
  fc.string(),
  cborLike,
  fc.uint8Array({ maxLength: 64 }),
  fc.constantFrom("[".repeat(70_000), '{"id":', '{"id":"n2"}', "\ufeff{}"),
);
const requests = fc.record({
  method: methods,
  target: targets,
  headers: fc.array(fc.tuple(headerNames, headerValues), { maxLength: 3 }),
  body: fc.option(bodies),
});
type Sent = typeof requests extends fc.Arbitrary<infer T> ? T : never;

/** Sends it; fails unless the answer is one that a client may get, and a refused write changed nothing. */
async function judge({ send, replica }: Fixture, request: Sent): Promise<number> {
  const { method, target, body } = request;
  const headers = new Headers(request.headers.map(([name, value]) => [name, value]));
  const hasBody = body !== null && method !== "GET" && method !== "HEAD";
  const { store } = replica.machine;
  const before = [store.revision, store.size];
  const init = hasBody
    ? { headers, body: typeof body === "string" ? body : Uint8Array.from(body) }
    : { headers };
  const response = await send(method, target, init);
  // 503: a stale read of a revision to come.
  assert.ok(response.status < 500 || response.status === 503, String(response.status));
  assert.equal(response.headers.get("holdfast-node"), "n1");
  const answer = new Uint8Array(await response.arrayBuffer());
  if (response.ok) return response.status;
  assert.deepEqual([store.revision, store.size], before);
  if (response.headers.get("content-type") !== "application/problem+json") return response.status;
  if (method === "HEAD") assert.equal(answer.length, 0);
  else {
    const { outcome } = JSON.parse(new TextDecoder().decode(answer));
    assert.equal(outcome, method === "GET" ? undefined : "not_applied");
  }
  return response.status;
}

const limits = { bodyTimeoutMs: 60_000, drainTimeoutMs: 1 };

describe("whatever a client sends", () => {
  it("gets an answer that is no defect, and a refused write changes nothing", async () => {
    const statuses = new Map<number, number>();
    let changes = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(requests, { minLength: 20, maxLength: 40 }), async (sequence) => {
        const own = fixture({ limits });
        for (const request of sequence) {
          const status = await judge(own, request);
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }
        assert.deepEqual([own.logged, own.defects], [[], []]);
        changes += own.replica.machine.store.revision;
      }),
      { numRuns: 150 },
    );
    console.log("HTTP requests by status:", JSON.stringify(Object.fromEntries(statuses)));
    for (const status of [200, 201, 400, 404, 405, 412]) {
      assert.ok(statuses.has(status), `${status}`);
    }
    assert.ok(changes > 80, `${changes} changes`);
  });

  it("as a document is taken or refused, and asks for nothing that it does not say", async () => {
    const types = fc.constantFrom("application/json", "application/cbor", "text/plain", "");
    const ids = fc.constantFrom<unknown>("n2", "n2", "n3", "n9", "__proto__", "", null, 1, ["n2"]);
    const documents = fc.tuple(fc.constantFrom("id", "id", "id", "ID"), ids)
      .map((member) => Object.fromEntries([member]));
    const nearly = fc.oneof(
      documents.map((document) => encodeCbor(document).slice()),
      documents.map((document) => JSON.stringify(document)),
      bodies,
    );
    const seen = { taken: 0, refused: 0 };
    const own = fixture({ limits });
    await fc.assert(
      fc.asyncProperty(nearly, types, async (body, type) => {
        own.replica.transferredTo = null;
        const headers: [string, string][] = [["content-type", type]];
        const request = { method: "PUT", target: "/v1/leader", headers, body };
        const taken = await judge(own, request) < 400;
        if (!taken) assert.equal(own.replica.transferredTo, null);
        seen[taken ? "taken" : "refused"]++;
        assert.deepEqual([own.logged, own.defects], [[], []]);
      }),
      { numRuns: 400 },
    );
    console.log("HTTP documents:", JSON.stringify(seen));
    assert.ok(Math.min(seen.taken, seen.refused) > 10);
  });

  it("that is a key comes back as the bytes it spelled", async () => {
    const { send, replica } = fixture();
    const bytes = fc.oneof(fc.nat(255), fc.constantFrom(0x2e, 0x2f, 0x25, 0x7e, 0x61));
    const spelled = fc.array(fc.tuple(bytes, fc.nat(3)), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(spelled, async (key) => {
        const path = key.map(([byte, escape]) => {
          const character = String.fromCharCode(byte);
          return /[A-Za-z0-9/_.~-]/.test(character) && escape > 0
            ? character
            : `%${byte.toString(16).padStart(2, "0")}`;
        }).join("");
        assert.equal((await send("PUT", `/v1/kv/${path}`, { body: path })).status, 201);
        const spelledBytes = Uint8Array.from(key, ([byte]) => byte);
        assert.ok(replica.machine.store.get(keyFromBytes(spelledBytes)) !== undefined);
        assert.equal(await (await send("GET", `/v1/kv/${path}`)).text(), path);
        await send("DELETE", `/v1/kv/${path}`);
        assert.equal(replica.machine.store.size, 0);
      }),
      { numRuns: 400 },
    );
  });
});
