import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createPeerAuthenticator } from "../../src/adapters/peer-signature.ts";
import type { PeerAuthenticator, PeerExchange } from "../../src/adapters/peer-wire.ts";
import { pathOf, versionOfPath } from "../../src/adapters/wire-version.ts";

const SECRET = "a secret of at least thirty-two characters";
const path = pathOf("heartbeat", 1);
const body = new TextEncoder().encode("hello");

interface Node {
  readonly authenticator: PeerAuthenticator;
  /** Whom it heard, and what they speak. */
  readonly heard: [string, number][];
}

function node(self: string, secrets: readonly string[], speaks?: number): Node {
  const heard: [string, number][] = [];
  const authenticator = createPeerAuthenticator({
    self,
    clusterId: "c1",
    secrets,
    wallNow: () => 1_700_000_000_000,
    onHeard: (from, version) => heard.push([from, version]),
    ...(speaks === undefined ? {} : { speaks }),
  });
  return { authenticator, heard };
}

/** a asks b, and b answers. */
function exchanged(a: Node, b: Node) {
  const { headers, exchange } = a.authenticator.sealRequest("b", path, body);
  const opened = b.authenticator.openRequest(new Headers(headers), path, body);
  assert.ok(!("refused" in opened), JSON.stringify(opened));
  const reply = b.authenticator.sealReply(opened, 200, body);
  return { headers, exchange, opened, reply };
}

function isAuthentic(of: Node, exchange: PeerExchange, headers: object): boolean {
  return of.authenticator.isReplyAuthentic(
    exchange,
    200,
    new Headers(headers as Record<string, string>),
    body,
  );
}

for (const secrets of [[], [SECRET]]) {
  describe(`what nodes speak, ${secrets.length === 0 ? "without" : "with"} a secret`, () => {
    it("is heard both ways between those that say it", () => {
      const a = node("a", secrets, 2);
      const b = node("b", secrets, 3);
      const { exchange, opened, reply } = exchanged(a, b);
      assert.equal(b.authenticator.spokenBy(opened), 2);
      assert.deepEqual(b.heard, [["a", 2]]);
      assert.ok(isAuthentic(a, exchange, reply));
      assert.deepEqual(a.heard, [["b", 3]]);
    });

    it("is 1 of a node that says nothing, as 0.1.0, whose messages and replies stay what they were", () => {
      const old = node("a", secrets);
      const later = node("b", secrets, 2);
      const asked = exchanged(old, later);
      assert.match(asked.headers["holdfast-nonce"] ?? "", /^[A-Za-z0-9_-]{22}\.1$/);
      assert.deepEqual(later.heard, [["a", 1]]);
      assert.equal("holdfast-version" in asked.reply, false);
      assert.ok(isAuthentic(old, asked.exchange, asked.reply));

      const answering = node("b", secrets);
      const asking = node("a", secrets, 2);
      const answered = exchanged(asking, answering);
      assert.equal("holdfast-version" in answered.reply, false);
      assert.ok(isAuthentic(asking, answered.exchange, answered.reply));
      assert.deepEqual(asking.heard, [["b", 1]]);
    });

    it("is nothing that a refusal says", () => {
      const a = node("a", secrets, 2);
      const b = node("b", secrets, 2);
      const { exchange, opened } = exchanged(a, b);
      const refusal = b.authenticator.sealReply(opened, 400, new Uint8Array());
      const headers = new Headers(refusal);
      assert.ok(a.authenticator.isReplyAuthentic(exchange, 400, headers, new Uint8Array()));
      assert.deepEqual(a.heard, []);
    });
  });
}

describe("what nodes speak", () => {
  it("can't be changed on its way: it is under the signatures", () => {
    const a = node("a", [SECRET], 2);
    const b = node("b", [SECRET], 2);
    const { headers, exchange, reply } = exchanged(a, b);
    const nonce = headers["holdfast-nonce"] ?? "";
    for (const other of [nonce.replace("-v2", "-v3"), nonce.replace("-v2", "")]) {
      const changed = new Headers({ ...headers, "holdfast-nonce": other });
      assert.ok("refused" in b.authenticator.openRequest(changed, path, body), other);
    }
    const { "holdfast-version": _, ...without } = reply as Record<string, string>;
    assert.equal(isAuthentic(a, exchange, without), false);
    assert.equal(isAuthentic(a, exchange, { ...reply, "holdfast-version": "3" }), false);
    assert.deepEqual(a.heard, []);
  });

  it("is nonsense where it is no version from 2 on", () => {
    const a = node("a", [], 2);
    const { exchange } = exchanged(a, node("b", [], 2));
    for (const said of ["", "0", "1", "02", "2.5", "-2", "two", "1234567"]) {
      assert.equal(isAuthentic(a, exchange, { "holdfast-version": said }), false, said);
    }
  });

  it("has paths of its own from version 2 on", () => {
    assert.equal(pathOf("snapshotChunk", 1), "/raft/v1/snapshot-chunk");
    assert.equal(pathOf("snapshotChunk", 2), "/raft/v2/snapshot-chunk");
    assert.deepEqual(
      ["/raft/v1/vote", "/raft/v12/x", "/raft/v0/vote", "/raft/vote", "/v1/raft/v2/vote"].map(
        versionOfPath,
      ),
      [1, 12, null, null, null],
    );
  });
});
