import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  CLOCK_WINDOW_MS,
  createPeerAuthenticator,
  REPLAY_SLOTS,
  SESSIONS_MAX,
} from "../../src/adapters/peer-signature.ts";
import type { PeerAuthenticator, PeerExchange } from "../../src/adapters/peer-wire.ts";

const OLD = "old secret of thirty-two characters";
const NEW = "new secret of thirty-two characters";
const path = "/raft/v1/append";
const body = new TextEncoder().encode("some entries");

let now = 1_700_000_000_000;
function node(self: string, secrets: readonly string[], clusterId = "c1"): PeerAuthenticator {
  return createPeerAuthenticator({ self, clusterId, secrets, wallNow: () => now });
}

function refusal(result: PeerExchange | { readonly refused: string }): string {
  assert.ok("refused" in result, "was taken");
  return result.refused;
}

function taken(result: PeerExchange | { readonly refused: string }): PeerExchange {
  assert.ok(!("refused" in result), JSON.stringify(result));
  return result;
}

it("tells how far the clock of whoever signs is ahead of ours, and of nobody else's", () => {
  const heard: string[] = [];
  let away = 0;
  const a = createPeerAuthenticator({
    self: "a",
    clusterId: "c1",
    secrets: [NEW],
    wallNow: () => now + away,
  });
  const b = createPeerAuthenticator({
    self: "b",
    clusterId: "c1",
    secrets: [NEW],
    wallNow: () => now,
    onClock: (from, offsetMs, isRefused) => heard.push(`${from} ${offsetMs} ${isRefused}`),
  });
  const sent = (secret?: string) => {
    const { headers } = a.sealRequest("b", path, body);
    const forged = secret === undefined ? {} : { "holdfast-signature": secret };
    return b.openRequest(new Headers({ ...headers, ...forged }), path, body);
  };
  taken(sent());
  away = 1200;
  taken(sent());
  away = -3_600_000;
  assert.match(refusal(sent()), /Holdfast-Time is over/);
  assert.match(refusal(sent("A".repeat(43))), /Signature/);
  assert.deepEqual(heard, ["a 0 false", "a 1200 false", "a -3600000 true"]);
});

for (const secrets of [[], [NEW]]) {
  describe(secrets.length === 0 ? "without a secret" : "with a secret", () => {
    const a = node("a", secrets);
    const b = node("b", secrets);

    it("a request is taken once", () => {
      const { headers, exchange } = a.sealRequest("b", path, body);
      assert.deepEqual(taken(b.openRequest(new Headers(headers), path, body)), exchange);
      assert.match(refusal(b.openRequest(new Headers(headers), path, body)), /used before/);
      const next = a.sealRequest("b", path, body);
      taken(b.openRequest(new Headers(next.headers), path, body));
    });

    it("requests may arrive in another order than they were sent", () => {
      const sealed = Array.from({ length: 50 }, () => a.sealRequest("b", path, body));
      for (const { headers } of sealed.reverse()) {
        taken(b.openRequest(new Headers(headers), path, body));
      }
    });

    it("a request for another cluster or another node is refused", () => {
      const { headers } = a.sealRequest("b", path, body);
      const elsewhere = node("b", secrets, "c2");
      assert.match(refusal(elsewhere.openRequest(new Headers(headers), path, body)), /Cluster/);
      const other = node("c", secrets);
      assert.match(refusal(other.openRequest(new Headers(headers), path, body)), /To/);
    });

    it("a request without one of its headers, or with nonsense in it, is refused", () => {
      const { headers } = a.sealRequest("b", path, body);
      for (const name of Object.keys(headers)) {
        for (const value of [undefined, "", "x".repeat(5000), "é", "a b", "/", "1,1"]) {
          const changed = new Headers(headers);
          changed.delete(name);
          if (value !== undefined) changed.set(name, value);
          refusal(b.openRequest(changed, path, body));
        }
      }
      taken(b.openRequest(new Headers(headers), path, body));
    });

    it("a request that very many later ones overtook is refused", () => {
      const late = a.sealRequest("b", path, body);
      let last = late;
      for (let i = 0; i < REPLAY_SLOTS; i++) last = a.sealRequest("b", path, body);
      taken(b.openRequest(new Headers(last.headers), path, body));
      assert.match(refusal(b.openRequest(new Headers(late.headers), path, body)), /used before/);
    });

    it("sessions are bounded, and lapse", () => {
      const receiver = node("b", secrets);
      for (let i = 0; i < SESSIONS_MAX; i++) {
        const { headers } = node("a", secrets).sealRequest("b", path, body);
        taken(receiver.openRequest(new Headers(headers), path, body));
      }
      const first = node("a", secrets).sealRequest("b", path, body);
      assert.match(
        refusal(receiver.openRequest(new Headers(first.headers), path, body)),
        /session/,
      );
      now += 2 * CLOCK_WINDOW_MS + 1;
      const later = node("a", secrets).sealRequest("b", path, body);
      taken(receiver.openRequest(new Headers(later.headers), path, body));
    });
  });
}

describe("a signature", () => {
  it("covers the cluster, both ends, the path, the time, the nonce and every bit of the body", () => {
    const a = node("a", [NEW]);
    const b = node("b", [NEW]);
    const { headers } = a.sealRequest("b", path, body);
    const changes: Record<string, string> = {
      "holdfast-from": "c",
      "holdfast-time": String(now + 1),
      "holdfast-nonce": (headers["holdfast-nonce"] ?? "") + "0",
    };
    for (const [name, value] of Object.entries(changes)) {
      const changed = new Headers({ ...headers, [name]: value });
      assert.match(refusal(b.openRequest(changed, path, body)), /Signature/);
    }
    const moved = new Headers({ ...headers, "holdfast-to": "c" });
    assert.match(refusal(node("c", [NEW]).openRequest(moved, path, body)), /Signature/);
    const renamed = new Headers({ ...headers, "holdfast-cluster": "c2" });
    assert.match(refusal(node("b", [NEW], "c2").openRequest(renamed, path, body)), /Signature/);
    assert.match(refusal(b.openRequest(new Headers(headers), "/raft/v1/vote", body)), /Signature/);
    for (let bit = 0; bit < body.length * 8; bit++) {
      const flipped = Uint8Array.from(body);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      assert.match(refusal(b.openRequest(new Headers(headers), path, flipped)), /Signature/);
    }
    assert.match(refusal(b.openRequest(new Headers(headers), path, body.subarray(1))), /Signature/);
    taken(b.openRequest(new Headers(headers), path, body));
  });

  it("has one spelling", () => {
    const b = node("b", [NEW]);
    const { headers } = node("a", [NEW]).sealRequest("b", path, body);
    const signature = headers["holdfast-signature"] ?? "";
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=";
    for (let at = 0; at < signature.length; at++) {
      for (const character of alphabet) {
        if (character === signature[at]) continue;
        const other = signature.slice(0, at) + character + signature.slice(at + 1);
        const changed = new Headers({ ...headers, "holdfast-signature": other });
        assert.match(refusal(b.openRequest(changed, path, body)), /Signature/);
      }
    }
    taken(b.openRequest(new Headers(headers), path, body));
  });

  it("is refused outside the clock window", () => {
    const a = node("a", [NEW]);
    const b = node("b", [NEW]);
    for (const away of [-CLOCK_WINDOW_MS - 1, CLOCK_WINDOW_MS + 1]) {
      const { headers } = a.sealRequest("b", path, body);
      now += away;
      assert.match(refusal(b.openRequest(new Headers(headers), path, body)), /clock/);
      now -= away;
    }
    const { headers } = a.sealRequest("b", path, body);
    now += CLOCK_WINDOW_MS;
    taken(b.openRequest(new Headers(headers), path, body));
  });

  it("cannot be replayed for as long as its time is in the window", () => {
    const a = node("a", [NEW]);
    const b = node("b", [NEW]);
    const ahead = CLOCK_WINDOW_MS;
    now += ahead;
    const { headers } = a.sealRequest("b", path, body);
    now -= ahead;
    taken(b.openRequest(new Headers(headers), path, body));
    now += 2 * CLOCK_WINDOW_MS;
    // A new session makes the receiver look for lapsed ones.
    const other = node("a", [NEW]).sealRequest("b", path, body);
    taken(b.openRequest(new Headers(other.headers), path, body));
    assert.match(refusal(b.openRequest(new Headers(headers), path, body)), /used before/);
    now += 1;
    assert.match(refusal(b.openRequest(new Headers(headers), path, body)), /clock/);
  });

  it("of another secret is refused, and both secrets are accepted while they rotate", () => {
    const open = (from: string[], to: string[]) => {
      const { headers } = node("a", from).sealRequest("b", path, body);
      return node("b", to).openRequest(new Headers(headers), path, body);
    };
    refusal(open([OLD], [NEW]));
    refusal(open([], [NEW]));
    taken(open([OLD], [OLD, NEW]));
    taken(open([NEW, OLD], [OLD, NEW]));
    taken(open([NEW, OLD], [NEW]));
    refusal(open([OLD, NEW], [NEW]));
  });
});

describe("a reply", () => {
  const a = node("a", [NEW]);
  const b = node("b", [OLD, NEW]);
  const rotating = node("a", [NEW, OLD]);
  const { exchange } = rotating.sealRequest("b", path, body);
  const headers = new Headers(b.sealReply(exchange, 200, body));

  it("is authentic for its request, status and body only", () => {
    assert.equal(rotating.isReplyAuthentic(exchange, 200, headers, body), true);
    assert.equal(a.isReplyAuthentic(exchange, 200, headers, body), false);
    assert.equal(rotating.isReplyAuthentic(exchange, 400, headers, body), false);
    assert.equal(rotating.isReplyAuthentic(exchange, 200, headers, body.subarray(1)), false);
    for (const other of [{ from: "c" }, { to: "c" }, { path: "/raft/v1/vote" }, { nonce: "n" }]) {
      const changed = { ...exchange, ...other };
      assert.equal(rotating.isReplyAuthentic(changed, 200, headers, body), false);
    }
    assert.equal(rotating.isReplyAuthentic(exchange, 200, new Headers(), body), false);
  });

  it("is not a request's signature", () => {
    const { headers, exchange } = rotating.sealRequest("b", path, body);
    assert.equal(rotating.isReplyAuthentic(exchange, 200, new Headers(headers), body), false);
  });

  it("is taken as it is where there is no secret", () => {
    const open = node("a", []);
    const { exchange } = open.sealRequest("b", path, body);
    assert.deepEqual(node("b", []).sealReply(exchange, 200, body), {});
    assert.equal(open.isReplyAuthentic(exchange, 200, new Headers(), body), true);
  });
});
