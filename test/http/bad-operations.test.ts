/** What is refused before anything is proposed, and where the answer says that it is. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeCbor } from "../../src/cbor.ts";
import { assertProblem, fixture } from "./fixture.ts";

const op = (operation: unknown) =>
  ["/v1/txn", { then: [{ get: { key: "a" } }, operation] }] as const;
const long = "k".repeat(2049);

/** Path, document, and what its refusal says; 400 unless that names a limit. */
const bad: readonly (readonly [string, unknown, RegExp])[] = [
  ["/v1/txn", [], /^body: the whole: takes an object$/],
  ["/v1/txn", 5, /^body: the whole: /],
  ["/v1/txn", null, /^body: the whole: /],
  ["/v1/txn", { than: [] }, /^body: than: /],
  ["/v1/txn", { then: {} }, /^body: then: /],
  [
    "/v1/txn",
    { if: [{ key: "a" }] },
    /^body: if\[0\]: takes an object with one of exists, revision/,
  ],
  ["/v1/txn", { if: [{ key: "a", revision: -1 }] }, /^body: if\[0\]\.revision: /],
  ["/v1/txn", { if: [{ key: "a", version: 1.5 }] }, /^body: if\[0\]\.version: /],
  ["/v1/txn", { if: [{ key: "a", version: 1, op: "<=" }] }, /^body: if\[0\]\.op: /],
  ["/v1/txn", { if: [{ key: "a", exists: 1 }] }, /^body: if\[0\]\.exists: /],
  ["/v1/txn", { if: [{ key: "a", exists: true, op: "=" }] }, /^body: if\[0\]\.op: /],
  ["/v1/txn", { if: [{ exists: true }] }, /^body: if\[0\]\.key: /],
  ["/v1/txn", { if: [{ key: "", exists: true }] }, /^body: if\[0\]\.key: is empty$/],
  [
    "/v1/txn",
    { if: [{ key: "a", value: "!", encoding: "base64" }] },
    /^body: if\[0\]\.value: takes base64$/,
  ],
  ["/v1/txn", { if: Array(129).fill({ key: "a", exists: true }) }, /^body: if: takes at most 128$/],
  ["/v1/txn", { then: Array(129).fill({ get: { key: "a" } }) }, /^body: then: takes at most 128$/],
  ["/v1/txn", { else: Array(129).fill(0) }, /^body: else: takes at most 128$/],
  [...op({}), /^body: then\[1\]: takes an object with one of put, delete, get, list, add$/],
  [...op(null), /^body: then\[1\]: takes an object with one of put/],
  [...op({ increment: {} }), /^body: then\[1\]: takes an object with one of put/],
  [...op({ put: { key: "a", value: "" }, get: { key: "a" } }), /^body: then\[1\]\.get: /],
  [...op({ put: { key: "a", value: "" }, if: [] }), /^body: then\[1\]\.if: /],
  [...op({ put: { value: "" } }), /^body: then\[1\]\.put\.key: /],
  [...op({ put: { key: "a" } }), /^body: then\[1\]\.put\.value: /],
  [...op({ put: { key: 7, value: "" } }), /^body: then\[1\]\.put\.key: takes text/],
  [...op({ put: { key: "a", value: {} } }), /^body: then\[1\]\.put\.value: takes text/],
  [...op({ put: { key: "a", value: "", type: "x" } }), /^body: then\[1\]\.put\.type: /],
  [
    ...op({ put: { key: "\ud800", value: "" } }),
    /^body: then\[1\]\.put\.key: holds half a surrogate/,
  ],
  [
    ...op({ put: { key: "a", value: "\udc00" } }),
    /^body: then\[1\]\.put\.value: holds half a surr/,
  ],
  [
    ...op({ put: { key: "a", value: "a", encoding: "base64" } }),
    /^body: then\[1\]\.put\.value: takes base64$/,
  ],
  [
    ...op({ put: { key: "a", value: "YR==", encoding: "base64" } }),
    /^body: then\[1\]\.put\.value: takes base64$/,
  ],
  [...op({ put: { key: "a", value: "", encoding: "hex" } }), /^body: then\[1\]\.put\.encoding: /],
  [
    ...op({ put: { key: "*", keyEncoding: "base64", value: "" } }),
    /^body: then\[1\]\.put\.key: takes base64$/,
  ],
  [
    ...op({ put: { key: "a", value: "", contentType: "" } }),
    /^body: then\[1\]\.put\.contentType: takes 1 to 256/,
  ],
  [
    ...op({ put: { key: "a", value: "", contentType: "ä" } }),
    /^body: then\[1\]\.put\.contentType: /,
  ],
  [
    ...op({ put: { key: "a", value: "", ttl: "30" } }),
    /^body: then\[1\]\.put\.ttl: takes a duration/,
  ],
  [...op({ put: { key: "a", value: "", ttl: 30 } }), /^body: then\[1\]\.put\.ttl: /],
  [
    ...op({ put: { key: "a", value: "", ttl: "0s" } }),
    /^body: then\[1\]\.put\.ttl: takes a duration from 1ms/,
  ],
  [
    ...op({ put: { key: "a", value: "", ttl: "3651d" } }),
    /^body: then\[1\]\.put\.ttl: takes a duration from 1ms/,
  ],
  [...op({ put: { key: "a", value: "", lease: 7 } }), /^body: then\[1\]\.put\.lease: /],
  [
    ...op({ put: { key: "a", value: "", lease: "0" } }),
    /^body: then\[1\]\.put\.lease: takes the id of a lease/,
  ],
  [
    ...op({ put: { key: "a", value: "", lease: "9999999999999999" } }),
    /^body: then\[1\]\.put\.lease: takes/,
  ],
  [
    ...op({ put: { key: "a", value: "", metadata: "a" } }),
    /^body: then\[1\]\.put\.metadata: takes base64$/,
  ],
  [...op({ delete: {} }), /^body: then\[1\]\.delete: takes an object with one of key, prefix/],
  [...op({ delete: { key: "a", prefix: "a" } }), /^body: then\[1\]\.delete\.prefix: /],
  [
    ...op({ delete: { prefix: "a", start: "a" } }),
    /^body: then\[1\]\.delete\.prefix: does not go with/,
  ],
  [...op({ list: { limit: 0 } }), /^body: then\[1\]\.list\.limit: /],
  [...op({ list: { limit: 1001 } }), /^body: then\[1\]\.list\.limit: /],
  [...op({ list: { reverse: "true" } }), /^body: then\[1\]\.list\.reverse: /],
  [...op({ list: { cursor: "x" } }), /^body: then\[1\]\.list\.cursor: /],
  [...op({ add: { key: "a" } }), /^body: then\[1\]\.add\.delta: /],
  [...op({ add: { key: "a", delta: 1.5 } }), /^body: then\[1\]\.add\.delta: takes an integer/],
  [...op({ add: { key: "a", delta: 2 ** 53 } }), /^body: then\[1\]\.add\.delta: takes an integer/],
  [...op({ add: { key: "a", delta: "+1" } }), /^body: then\[1\]\.add\.delta: takes an integer/],
  [
    ...op({ add: { key: "a", delta: "9223372036854775808" } }),
    /^body: then\[1\]\.add\.delta: takes a 64-bit/,
  ],
  [
    ...op({ add: { key: "a", delta: 1, min: 3, max: 2 } }),
    /^body: then\[1\]\.add\.min: is above max$/,
  ],
  ["/v1/batch", {}, /^body: ops: /],
  [
    "/v1/batch",
    { ops: Array(1001).fill({ get: { key: "a" } }) },
    /^body: ops: takes at most 1000$/,
  ],
  [
    "/v1/batch",
    { ops: [{ put: { key: "a", value: 1 } }] },
    /^body: ops\[0\]\.put\.value: takes text/,
  ],
  ["/v1/batch", { ops: [{ if: [] }] }, /^body: ops\[0\]: takes an object with one of put/],
  [
    "/v1/batch",
    { ops: [{ get: { key: "a" }, if: [{}] }] },
    /^body: ops\[0\]\.if\[0\]: takes an object/,
  ],
  [
    "/v1/batch",
    {
      ops: Array(100).fill({ get: { key: "a" }, if: Array(101).fill({ key: "a", exists: true }) }),
    },
    /^body: ops: takes 10000 checks in all$/,
  ],
  ["/v1/leases", {}, /^body: ttl: /],
  ["/v1/leases", { ttl: "1w" }, /^body: ttl: takes a duration/],
  ["/v1/leases", { ttl: "0ms" }, /^body: ttl: takes a duration from 1ms/],
  ["/v1/leases", { ttl: "1s", id: "7" }, /^body: id: /],
];

const large: readonly (readonly [string, unknown, RegExp, number])[] = [
  [...op({ get: { key: long } }), /^body: then\[1\]\.get\.key is over/, 2048],
  [...op({ list: { prefix: `${long}k` } }), /^body: then\[1\]\.list\.prefix is over/, 2049],
  [
    ...op({ put: { key: "a", value: "x".repeat(1025) } }),
    /^body: then\[1\]\.put\.value is over/,
    1024,
  ],
  [
    ...op({ put: { key: "a", value: "", metadata: btoa("x".repeat(1025)) } }),
    /^body: then\[1\]\.put\.metadata is over/,
    1024,
  ],
  [
    "/v1/txn",
    { if: [{ key: "a", value: "x".repeat(1025) }] },
    /^body: if\[0\]\.value is over/,
    1024,
  ],
  ["/v1/batch", { ops: [], x: "x".repeat(8 * 1024 * 1024) }, /^the body is over/, 8 * 1024 * 1024],
  ["/v1/leases", { ttl: "x".repeat(64 * 1024) }, /^the body is over/, 64 * 1024],
];

describe("a malformed request", () => {
  const nameOf = (target: string, document: unknown) =>
    `${target} ${JSON.stringify(document).slice(0, 100)}`;
  for (const [target, document, detail] of bad) {
    it(`is refused: ${nameOf(target, document)}`, async () => {
      const { post, send, replica } = fixture();
      const inCbor = {
        method: "POST",
        body: encodeCbor(document),
        headers: { "content-type": "application/cbor; v=1" },
      };
      const inJson = await post(target, document);
      const problem = await assertProblem(inJson, 400, "bad_request", "not_applied");
      assert.match(String(problem["detail"]), detail);
      // Half a surrogate pair has no bytes: CBOR can't carry it.
      if (!JSON.stringify(document).includes("\\ud")) {
        const same = await assertProblem(
          await send("POST", target, inCbor),
          400,
          "bad_request",
          "not_applied",
        );
        assert.equal(same["detail"], problem["detail"]);
      }
      assert.equal(replica.log.length, 0);
    });
  }

  for (const [target, document, detail, limit] of large) {
    it(`is refused: ${nameOf(target, document)} is over ${limit} bytes`, async () => {
      const { post, replica } = fixture({ limits: { valueBytesMax: 1024 } });
      const problem = await assertProblem(
        await post(target, document),
        413,
        "too_large",
        "not_applied",
      );
      assert.match(String(problem["detail"]), detail);
      assert.equal(problem["limit"], limit);
      assert.equal(replica.log.length, 0);
    });
  }

  it("is refused at once where it holds millions of operations", async () => {
    const { send } = fixture();
    const body = `{"ops":[${"0,".repeat(4_000_000)}0]}`;
    const problem = await assertProblem(
      await send("POST", "/v1/batch", { body }),
      400,
      "bad_request",
      "not_applied",
    );
    assert.equal(problem["detail"], "body: ops: takes at most 1000");
  });

  it("of no JSON and no CBOR is refused, as is what is nested without end", async () => {
    const { send } = fixture();
    const cbor = { "content-type": "application/cbor" };
    const bodies:
      readonly (readonly [string | Uint8Array<ArrayBuffer>, Record<string, string>, RegExp])[] = [
        ["{", {}, /not JSON/],
        ["", {}, /not JSON/],
        [Uint8Array.of(0x22, 0xff, 0x22), {}, /not UTF-8/],
        [Uint8Array.of(0xa1), cbor, /not CBOR/],
        [new Uint8Array(100_000).fill(0x81), cbor, /not CBOR: nested deeper/],
        [`{"then":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, {}, /then\[0\]: takes an object/],
      ];
    for (const [body, headers, detail] of bodies) {
      const response = await send("POST", "/v1/txn", { body, headers });
      const problem = await assertProblem(response, 400, "bad_request", "not_applied");
      assert.match(String(problem["detail"]), detail);
    }
  });

  it("with another method is told which ones there are", async () => {
    const { send } = fixture();
    const methods: readonly (readonly [string, string, string])[] = [
      ["GET", "/v1/txn", "POST"],
      ["PUT", "/v1/batch", "POST"],
      ["DELETE", "/v1/leases", "GET, HEAD, POST"],
      ["POST", "/v1/leases/7", "DELETE, GET, HEAD"],
      ["GET", "/v1/leases/7/keepalive", "POST"],
      ["POST", "/openapi.json", "GET, HEAD"],
    ];
    for (const [method, target, allow] of methods) {
      const response = await send(method, target);
      assert.equal(response.status, 405, target);
      assert.equal(response.headers.get("allow"), allow, target);
    }
  });
});
