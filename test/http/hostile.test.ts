import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { keyFromBytes } from "../../src/kv/key.ts";
import { randomFrom } from "../kv/random.ts";
import { fixture } from "./fixture.ts";

type Random = (below: number) => number;

/** Pieces that a target is put together from, the nastier the better. */
const pieces = [
  "/",
  "//",
  "/v1/kv",
  "/v1/kv/",
  "/v1/log",
  "/v1/status",
  "/v1/leader",
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
  "from=",
  "1",
  "\\",
  ";",
  "é",
  " ",
  "\x00",
  "\x7f",
];
const methods = ["GET", "HEAD", "PUT", "PUT", "PUT", "DELETE", "DELETE", "POST", "OPTIONS"];
const headerNames = [
  "if-match",
  "if-none-match",
  "accept",
  "content-type",
  "content-length",
  "idempotency-key",
];
const headerValues = [
  "*",
  '"1"',
  'W/"2"',
  '"',
  '"1",',
  "",
  "a".repeat(300),
  "application/cbor",
  "application/cbor;q=x",
  "0",
  "5",
  "-1",
  "1e3",
  "99999999999999999999",
];

function pick<T>(random: Random, values: readonly [T, ...T[]] | readonly T[]): T {
  const value = values[random(values.length)];
  assert.ok(value !== undefined);
  return value;
}

describe("whatever a client sends", () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`gets an answer below 500, and a refused write changes nothing (seed ${seed})`, async () => {
      const random = randomFrom(seed);
      const { send, replica, logged, defects } = fixture({
        limits: { bodyTimeoutMs: 60_000, drainTimeoutMs: 1 },
      });
      for (let i = 0; i < 1500; i++) {
        const method = pick(random, methods);
        const tail = Array.from({ length: random(6) }, () => pick(random, pieces)).join("");
        const target = `${pick(random, ["/", "/v1/kv/", "/v1/kv?"])}${tail}`;
        const headers = new Headers();
        for (let n = random(4) - 1; n > 0; n--) {
          headers.append(pick(random, headerNames), pick(random, headerValues));
        }
        const withBody = method !== "GET" && method !== "HEAD" && random(2) === 0;
        const before = replica.machine.store.revision;
        const response = await send(
          method,
          target,
          withBody ? { headers, body: "12345" } : { headers },
        );
        const shown = `${method} ${JSON.stringify(target)} ${JSON.stringify([...headers])}`;
        assert.ok(response.status < 500, `${response.status} ${shown}`);
        assert.equal(response.headers.get("holdfast-node"), "n1", shown);
        const body = new Uint8Array(await response.arrayBuffer());
        if (response.ok) continue;
        assert.equal(replica.machine.store.revision, before, shown);
        if (response.headers.get("content-type") !== "application/problem+json") continue;
        if (method === "HEAD") assert.equal(body.length, 0, shown);
        else {
          const { outcome } = JSON.parse(new TextDecoder().decode(body));
          assert.equal(outcome, method === "GET" ? undefined : "not_applied", shown);
        }
      }
      assert.deepEqual([logged, defects], [[], []]);
      assert.ok(replica.machine.store.revision > 20, `${replica.machine.store.revision} changes`);
    });
  }

  it("that is a key comes back as the bytes it spelled", async () => {
    const random = randomFrom(5);
    const { send, replica } = fixture();
    for (let i = 0; i < 500; i++) {
      const bytes = Uint8Array.from({ length: 1 + random(20) }, () => random(256));
      const path = Array.from(bytes, (byte) => {
        const character = String.fromCharCode(byte);
        return /[A-Za-z0-9/_.~-]/.test(character) && random(4) > 0
          ? character
          : `%${byte.toString(16).padStart(2, "0")}`;
      }).join("");
      assert.equal((await send("PUT", `/v1/kv/${path}`, { body: path })).status, 201);
      assert.ok(replica.machine.store.get(keyFromBytes(bytes)) !== undefined);
      assert.equal(await (await send("GET", `/v1/kv/${path}`)).text(), path);
      await send("DELETE", `/v1/kv/${path}`);
    }
    assert.equal(replica.machine.store.size, 0);
  });
});
